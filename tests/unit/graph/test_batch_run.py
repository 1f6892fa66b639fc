from __future__ import annotations

from tests.unit.graph.nodes import Given, run_of


def test_a_lineage_is_made_once_in_a_run_and_anew_in_the_next_attempt() -> None:
    node = Given({10: [[1]]})
    run = run_of(10)
    assert run.lineage(node) is run.lineage(node)
    assert node.asked == 1
    assert run_of(10, attempt=1).lineage(node) is not run.lineage(node)
    assert node.asked == 2


def test_a_node_that_gives_nothing_is_asked_once_too() -> None:
    node = Given({})
    run = run_of(10)
    assert run.lineage(node) is None
    assert run.lineage(node) is None
    assert node.asked == 1
    assert run.made() == {}


def test_a_node_gives_nothing_between_its_slides() -> None:
    node = Given({10: [[1]], 20: [[2]]}, slide_ms=20)
    assert run_of(10).lineage(node) is None
    assert node.asked == 0
    assert run_of(20).lineage(node) is not None
    assert not run_of(30).is_due(node)


def test_what_more_than_one_reads_is_kept() -> None:
    alone, shared, asked_to = Given({10: [[1]]}), Given({10: [[2]]}), Given({10: [[3]]})
    Given({}, 10, alone)
    Given({}, 10, shared)
    Given({}, 10, shared)
    asked_to.is_kept = True
    run = run_of(10)
    lineages = [run.lineage(node) for node in (alone, shared, asked_to)]
    assert [lineage is not None and lineage.kept is not None for lineage in lineages] == [False, True, True]


def test_made_lists_what_was_made_so_far() -> None:
    first, second = Given({10: [[1]]}), Given({10: [[2]]})
    run = run_of(10)
    lineage = run.lineage(first)
    assert run.made() == {first: lineage}
    run.lineage(second)
    assert list(run.made()) == [first, second]
