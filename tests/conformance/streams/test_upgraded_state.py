"""State that enters a program which was changed: other values, timeouts, windows and filters; and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import add, sub
from typing import Any

import pytest

import millstream as ms
from millstream.errors import IncompatibleCheckpointError, UserCodeError
from millstream.execution.backend import Backend
from millstream.graph.durable_state import StateChange
from millstream.state.downtime import Downtime
from millstream.stream.dstream import DStream
from tests.conformance.streams.lives import INTERVAL_MS, Build, Life, StateLog


@pytest.fixture(scope="module", params=["threads", "processes"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with ms.Context(request.param, workers=2 if request.param == "processes" else None) as context:
        yield context.backend


def _sum(values: list[int], old: int | None) -> int:
    return (old or 0) + sum(values)


def _entry(values: list[int], old: dict[str, int] | None) -> dict[str, int]:
    return {"sum": (old or {"sum": 0})["sum"] + sum(values)}


def summed(options: ms.StateOptions | None = None) -> Build:
    return lambda s: s.update_state_by_key(_sum, name="sums", state=options)


def entries(**options: Any) -> Build:
    return lambda s: s.update_state_by_key(_entry, name="sums", state=ms.StateOptions(**options))


def left_by(build: Build, backend: Backend, *batches: list[Any], partitions: int = 2) -> StateLog:
    life = Life(build, backend, partitions=partitions)
    life.run_all(batches)
    return life.log


def rows(given: list[list[Any]]) -> list[Any]:
    return sorted((row for part in given for row in part), key=repr)


def test_values_of_an_earlier_version_are_migrated_once(backend: Backend) -> None:
    log = left_by(summed(), backend, [("a", 1), ("b", 2)])
    upgraded = Life(entries(version=2, migrate=lambda old: {"sum": old * 10}), backend, partitions=2, log=log)
    assert rows(upgraded.run(2_000, [("b", 1)])) == [("a", {"sum": 10}), ("b", {"sum": 21})]
    # What was written since goes into a program of the same version as it is.
    whole = StateLog(upgraded.log.tables, _by_partition(upgraded.durable.snapshots(2_000), 2), 2_000)
    again = Life(entries(version=2, migrate=lambda old: 1 / 0), backend, partitions=2, log=whole)
    assert rows(again.run(3_000, [])) == [("a", {"sum": 10}), ("b", {"sum": 21})]


def _by_partition(changes: list[StateChange], partitions: int) -> dict[str, list[list[bytes]]]:
    chunks: dict[str, list[list[bytes]]] = {}
    for change in changes:
        chunks.setdefault(change.table, [[] for _ in range(partitions)])[change.partition].append(change.data)
    return chunks


def test_a_migrate_function_may_ask_for_the_version_and_drop_keys(backend: Backend) -> None:
    log = left_by(summed(ms.StateOptions(version=3, migrate=abs)), backend, [("a", 1), ("b", 2)])
    migrate = lambda old, version: None if old == 1 else {"sum": version}  # noqa: E731 - short, and goes by value
    upgraded = Life(entries(version=5, migrate=migrate), backend, partitions=2, log=log)
    assert rows(upgraded.run(2_000, [])) == [("b", {"sum": 3})]


def test_a_migrate_function_that_raises_is_named_with_key_and_value(backend: Backend) -> None:
    log = left_by(summed(), backend, [("a", 1), ("b", 2)])
    with pytest.raises(UserCodeError) as raised:
        Life(entries(version=2, migrate=lambda old: 1 // (old - 2)), backend, partitions=2, log=log)
    text = str(raised.value)
    assert "The migrate function of update_state_by_key 'sums' raised ZeroDivisionError" in text
    assert "The key is 'b', its old value 2, of version 1" in text
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_versions_that_do_not_fit_are_refused(backend: Backend) -> None:
    log = left_by(summed(ms.StateOptions(version=2)), backend, [("a", 1)])
    with pytest.raises(IncompatibleCheckpointError, match="The checkpoint has version 2, this program version 1"):
        Life(summed(), backend, partitions=2, log=log)
    with pytest.raises(IncompatibleCheckpointError, match="migrate=f"):
        Life(summed(ms.StateOptions(version=3)), backend, partitions=2, log=log)


WINDOWS: dict[str, Any] = {
    "window": lambda s, **state: s.window(3, name="w", **state),
    "reduce": lambda s, **state: s.reduce_by_key_and_window(add, window=3, name="w", **state),
    "inverse": lambda s, **state: s.reduce_by_key_and_window(add, sub, 3, name="w", **state),
}


@pytest.mark.parametrize("operator", ["reduce", "inverse"])
def test_values_of_windows_are_migrated(backend: Backend, operator: str) -> None:
    build = WINDOWS[operator]
    log = left_by(build, backend, [("a", 1), ("b", 2)], [("a", 5)])
    options = ms.StateOptions(version=2, migrate=lambda old: old * 10)
    life = Life(lambda s: build(s, state=options), backend, partitions=2, log=log)
    given = [rows(life.run(time_ms, batch)) for time_ms, batch in [(3_000, [("a", 7)]), (4_000, []), (5_000, [])]]
    assert given == [[("a", 67), ("b", 20)], [("a", 57)], [("a", 7)]]


def test_records_of_a_window_are_migrated(backend: Backend) -> None:
    build = WINDOWS["window"]
    log = left_by(build, backend, [("a", 1)])
    options = ms.StateOptions(version=2, migrate=lambda record: (*record, "old"))
    life = Life(lambda s: build(s, state=options), backend, partitions=2, log=log)
    assert rows(life.run(2_000, [("b", 2)])) == [("a", 1, "old"), ("b", 2)]


def test_state_that_cannot_be_encoded_fails_its_batch_alone(backend: Backend) -> None:
    def keep(key: Any, value: Any, state: Any) -> Any:
        state.update(print if value == 0 else value)
        return key, value

    life = Life(lambda s: s.map_with_state(keep, name="kept"), backend, partitions=2)
    life.run(1_000, [("a", 1)])
    with pytest.raises(UserCodeError) as raised:
        life.run(2_000, [("b", 0)])
    text = str(raised.value)
    assert "map_with_state 'kept'" in text
    assert "'b'" in text
    assert "builtin_function_or_method" in text
    backend.roll_back_state(2_000)
    life.run(2_000, [("b", 3)])
    again = Life(lambda s: s.map_with_state(keep, name="kept").state_snapshots(), backend, partitions=2, log=life.log)
    assert rows(again.run(3_000, [])) == [("a", 1), ("b", 3)]


def _count(key: Any, value: Any, state: Any) -> Any:
    if state.is_timing_out():
        return key, "out"
    state.update(state.get(0) + value)
    return key, state.get()


def timed(timeout: float | None) -> Build:
    return lambda s: s.map_with_state(ms.StateSpec(_count, timeout=timeout), name="timed")


def test_keys_do_not_grow_idle_while_the_program_is_down(backend: Backend) -> None:
    log = left_by(timed(2.5), backend, [("a", 1)], [("b", 1)])
    hour_ms = 3_600_000
    life = Life(timed(2.5), backend, partitions=2, log=log, downtimes=[Downtime(2_000, hour_ms + 2_000)])
    assert rows(life.run(hour_ms + 3_000, [("c", 1)])) == [("c", 1)]
    assert rows(life.run(hour_ms + 4_000, [])) == [("a", "out")]
    later = Life(
        timed(2.5),
        backend,
        partitions=2,
        log=log.followed_by(life.log),
        downtimes=[Downtime(2_000, hour_ms + 2_000), Downtime(hour_ms + 4_000, 2 * hour_ms + 4_000)],
    )
    assert rows(later.run(2 * hour_ms + 5_000, [])) == [("b", "out")]
    assert rows(later.run(2 * hour_ms + 6_000, [])) == [("c", "out")]
    without = Life(timed(2.5), backend, partitions=2, log=log)
    assert rows(without.run(hour_ms + 3_000, [])) == [("a", "out"), ("b", "out")]


def test_a_worker_that_follows_another_knows_of_the_downtime() -> None:
    with ms.Context("processes", workers=1) as context:
        backend: Any = context.backend
        log = left_by(timed(2.5), backend, [("a", 1)], partitions=1)
        life = Life(timed(2.5), backend, partitions=1, log=log, downtimes=[Downtime(1_000, 11_000)])
        backend._links[0].place.kill()
        assert rows(life.run(12_000, [])) == []
        assert rows(life.run(14_000, [])) == [("a", "out")]


def test_a_timeout_that_is_new_counts_from_the_restart(backend: Backend) -> None:
    log = left_by(timed(None), backend, [("a", 1)], [("b", 1)])
    life = Life(timed(1.5), backend, partitions=2, log=log)
    assert rows(life.run(3_000, [("b", 1)])) == [("b", 2)]
    assert rows(life.run(4_000, [])) == [("a", "out")]
    assert rows(life.run(5_000, [])) == [("b", "out")]


def test_a_timeout_that_is_gone_counts_no_more(backend: Backend) -> None:
    log = left_by(timed(1.5), backend, [("a", 1)])
    life = Life(timed(None), backend, partitions=2, log=log)
    assert rows(life.run(9_000, [])) == []
    assert rows(life.run(10_000, [("a", 1)])) == [("a", 2)]


def test_initial_state_is_not_used_a_second_time(backend: Backend) -> None:
    def started(initial: list[tuple[Any, int]]) -> Build:
        return lambda s: s.update_state_by_key(
            lambda values, old: None if values == [0] else (old or 0) + sum(values), initial_state=initial
        )

    log = left_by(started([("a", 1), ("b", 2)]), backend, [("a", 0)])
    for partitions in (2, 3):
        life = Life(started([("a", 100), ("c", 100)]), backend, partitions=partitions, log=log)
        assert rows(life.run(2_000, [])) == [("b", 2)]


def reduced(window: float, *, inverse: bool, keep: Any = None, slide: float = 1) -> Build:
    def build(s: DStream[Any]) -> DStream[Any]:
        return s.reduce_by_key_and_window(add, sub if inverse else None, window, slide, filter=keep, name="w")

    return build


BATCHES = [[("a", number), (number % 3, 1)] for number in range(1, 13)]


@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize(("before", "after"), [(5, 2), (2, 5), (3, 3)])
def test_a_window_of_another_length_holds_what_it_can(backend: Backend, inverse: bool, before: int, after: int) -> None:
    log = left_by(reduced(before, inverse=inverse), backend, *BATCHES[:6])
    life = Life(reduced(after, inverse=inverse), backend, partitions=2, log=log)
    for at in range(6, 12):
        held = BATCHES[max(6 - before, at + 1 - after) : at + 1]
        totals: dict[Any, int] = {}
        for key, value in (pair for batch in held for pair in batch):
            totals[key] = totals.get(key, 0) + value
        assert rows(life.run((at + 1) * INTERVAL_MS, BATCHES[at])) == rows([list(totals.items())]), at


@pytest.mark.parametrize("inverse", [True, False])
def test_a_window_gains_and_loses_its_inverse_without_loss(backend: Backend, inverse: bool) -> None:
    undisturbed = [rows(given) for given in Life(reduced(4, inverse=True), backend, partitions=2).run_all(BATCHES)]
    before = left_by(reduced(4, inverse=inverse), backend, *BATCHES[:5])
    parts = before.chunks["w.parts" if inverse else "w"]
    identity = before.tables["w.parts" if inverse else "w"]
    table = "w" if inverse else "w.parts"
    program = Life(reduced(4, inverse=not inverse), backend, partitions=2)
    program.durable.load({table: parts}, 5_000, stored={table: identity})
    given = [rows(program.run(time_ms, BATCHES[time_ms // 1000 - 1])) for time_ms in range(6_000, 13_000, 1_000)]
    assert given == undisturbed[5:]


def test_running_values_that_are_not_loaded_are_made_of_the_parts(backend: Backend) -> None:
    undisturbed = [rows(given) for given in Life(reduced(4, inverse=True), backend, partitions=2).run_all(BATCHES)]
    log = left_by(reduced(4, inverse=True), backend, *BATCHES[:5])
    program = Life(reduced(4, inverse=True), backend, partitions=2)
    program.durable.load({"w.parts": log.chunks["w.parts"]}, 5_000)
    given = [rows(program.run(time_ms, BATCHES[time_ms // 1000 - 1])) for time_ms in range(6_000, 13_000, 1_000)]
    assert given == undisturbed[5:]


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, lambda kv: kv[1] > 9), (lambda kv: kv[1] > 9, None), (lambda kv: False, lambda kv: True)],
)
def test_another_filter_of_a_window_counts_at_once(backend: Backend, before: Any, after: Any) -> None:
    log = left_by(reduced(4, inverse=True, keep=before), backend, *BATCHES[:5])
    undisturbed = Life(reduced(4, inverse=True, keep=after), backend, partitions=2).run_all(BATCHES)
    life = Life(reduced(4, inverse=True, keep=after), backend, partitions=2, log=log)
    assert list(map(rows, life.run_all(BATCHES[5:], from_ms=5_000))) == list(map(rows, undisturbed[5:]))


def test_a_batch_that_changes_nothing_gives_no_change(backend: Backend) -> None:
    life = Life(lambda s: s.map_with_state(_count).window(2), backend, partitions=2)
    life.run(1_000, [("a", 1)])
    before = {table: sum(map(len, chunks)) for table, chunks in life.log.chunks.items()}
    life.run(2_000, [])
    after = {table: sum(map(len, chunks)) for table, chunks in life.log.chunks.items()}
    assert after["map_with_state-1"] == before["map_with_state-1"]


def test_changes_later_than_the_newest_batch_that_is_done_are_left_out(backend: Backend) -> None:
    life = Life(lambda s: s.update_state_by_key(_sum).window(2), backend, partitions=2)
    life.run_all([[("a", 1)], [("a", 2)], [("a", 4)]])
    again = Life(
        lambda s: s.update_state_by_key(_sum).window(2), backend, partitions=2, log=replace(life.log, done_ms=2_000)
    )
    assert rows(again.run(3_000, [])) == [("a", 3), ("a", 3)]


def test_a_custom_partitioner_keeps_its_number_of_partitions(backend: Backend) -> None:
    from millstream.graph.state import StateNode
    from millstream.model.label import Label
    from millstream.rdd.partitioner import ByFunction
    from millstream.state.update_state_by_key import UpdateStateByKey

    def spread(partitions: int) -> Build:
        def build(s: DStream[Any]) -> DStream[Any]:
            at = Label("update_state_by_key", "sums", "app.py:3")
            step = UpdateStateByKey(_sum, at)
            return s.add(StateNode(s.node, step, ByFunction(partitions, len), at))

        return build

    log = left_by(spread(3), backend, [("a", 1), ("bb", 2)])
    assert rows(Life(spread(3), backend, log=log).run(2_000, [])) == [("a", 1), ("bb", 2)]
    with pytest.raises(IncompatibleCheckpointError, match="over 2 partitions; the checkpoint has 3"):
        Life(spread(2), backend, log=log)


def test_state_by_key_goes_to_another_operator(backend: Backend) -> None:
    log = left_by(summed(), backend, [("a", 1), ("b", 2)])
    build: Build = lambda s: s.map_with_state(ms.StateSpec(_count, timeout=1.5), name="sums")  # noqa: E731
    life = Life(build, backend, partitions=2, log=log)
    assert rows(life.run(2_000, [("a", 5)])) == [("a", 6)]
    assert rows(life.run(3_000, [])) == [("b", "out")]
    back = Life(summed(), backend, partitions=2, log=life.log)
    assert rows(back.run(4_000, [("a", 1)])) == [("a", 7)]


def test_pickled_state_is_read_only_by_those_who_ask_for_it(backend: Backend) -> None:
    plain, pickled = summed(), summed(ms.StateOptions(codec="pickle"))
    before = Life(plain, backend, partitions=2)
    before.run(1_000, [("a", 1), ("b", 2)])
    after = Life(pickled, backend, partitions=2, log=before.log)
    assert rows(after.run(2_000, [("a", 1)])) == [("a", 2), ("b", 2)]
    log = before.log.followed_by(after.log)
    assert rows(Life(pickled, backend, partitions=2, log=log).run(3_000, [])) == [("a", 2), ("b", 2)]
    with pytest.raises(IncompatibleCheckpointError, match="pickle"):
        Life(plain, backend, partitions=2, log=log)
    leaving = Life(summed(ms.StateOptions(unpickle=True)), backend, partitions=2, log=log)
    assert rows(leaving.run(3_000, [("b", 1)])) == [("a", 2), ("b", 3)]
    whole = StateLog(leaving.log.tables, _by_partition(leaving.durable.snapshots(3_000), 2), 3_000)
    assert rows(Life(plain, backend, partitions=2, log=whole).run(4_000, [])) == [("a", 2), ("b", 3)]


def test_windows_leave_pickles_behind(backend: Backend) -> None:
    build = WINDOWS["inverse"]
    log = left_by(lambda s: build(s, state=ms.StateOptions(codec="pickle")), backend, [("a", 1)], [("a", 2)])
    with pytest.raises(IncompatibleCheckpointError, match="pickle"):
        Life(build, backend, partitions=2, log=log)
    leaving = Life(lambda s: build(s, state=ms.StateOptions(unpickle=True)), backend, partitions=2, log=log)
    assert rows(leaving.run(3_000, [("a", 4)])) == [("a", 7)]
    assert rows(leaving.run(4_000, [])) == [("a", 6)]


def test_a_key_that_keeps_its_value_is_not_written_again(backend: Backend) -> None:
    life = Life(summed(), backend, partitions=1)
    life.run(1_000, [(key, 1_000_000 + key) for key in range(500)])
    life.run(2_000, [(7, 1)])
    first, second = life.log.chunks["sums"][0]
    assert len(second) < len(first) / 5
    life.run(3_000, [])
    assert len(life.log.chunks["sums"][0]) == 2


@pytest.mark.parametrize("inverse", [True, False])
def test_a_window_with_another_slide_goes_on(backend: Backend, inverse: bool) -> None:
    undisturbed = Life(reduced(4, inverse=inverse), backend, partitions=2).run_all(BATCHES)
    log = left_by(reduced(4, inverse=inverse, slide=3), backend, *BATCHES[:5])
    life = Life(reduced(4, inverse=inverse), backend, partitions=2, log=log)
    assert list(map(rows, life.run_all(BATCHES[5:], from_ms=5_000))) == list(map(rows, undisturbed[5:]))
    log = left_by(reduced(4, inverse=inverse), backend, *BATCHES[:5])
    life = Life(reduced(4, inverse=inverse, slide=3), backend, partitions=2, log=log)
    given = life.run_all(BATCHES[5:], from_ms=5_000)
    wanted = [rows(undisturbed[at]) if (at + 1) % 3 == 0 else [] for at in range(5, 12)]
    assert list(map(rows, given)) == wanted
