from __future__ import annotations

from tests.unit.graph.nodes import Given, NoRunner, run_of

from millstream.graph.remembered import Remembered


def test_nothing_is_remembered_unless_asked_for() -> None:
    remembered, node = Remembered(), Given({10: [[1]]})
    run = run_of(10)
    run.lineage(node)
    remembered.complete(run, [Given({10: [[2]]})])
    remembered.add(run)
    assert remembered.between(node, 0, 99) == []
    assert remembered.forgotten_ms == 10


def test_the_last_while_is_remembered_with_its_runner() -> None:
    remembered = Remembered()
    remembered.span_ms = 20
    node = Given({time_ms: [[time_ms]] for time_ms in range(10, 50, 10)})
    runners = {}
    for time_ms in range(10, 50, 10):
        run = run_of(time_ms, NoRunner())
        runners[time_ms] = run.runner
        run.lineage(node)
        remembered.add(run)
    found = remembered.between(node, 0, 99)
    assert [runner for _, runner in found] == [runners[30], runners[40]]
    assert remembered.forgotten_ms == 20
    assert len(remembered.between(node, 40, 40)) == 1
    assert remembered.between(node, 41, 99) == []


def test_nodes_that_no_output_reads_are_completed() -> None:
    remembered, unread, nothing = Remembered(), Given({10: [[1]]}), Given({})
    remembered.span_ms = 20
    run = run_of(10)
    remembered.complete(run, [unread, nothing])
    remembered.add(run)
    assert len(remembered.between(unread, 10, 10)) == 1
    assert remembered.between(nothing, 10, 10) == []


def test_kept_parts_do_not_change_with_what_they_were_made_of() -> None:
    remembered, node = Remembered(), Given({10: [[1]]})
    remembered.span_ms = 20
    run = run_of(10)
    lineage = run.lineage(node)
    assert lineage is not None
    live = {"a": 1}
    kept = lineage.keep().kept
    assert kept is not None
    kept.parts = [live.items()]
    remembered.add(run)
    live["b"] = 2
    assert kept.parts == [[("a", 1)]]
