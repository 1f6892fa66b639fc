from __future__ import annotations

from typing import Any

import pytest

from millstream.blocks.log import LogRecord
from millstream.blocks.memory_log import MemoryLog
from millstream.encoding.codec import decode, encode
from millstream.errors import IncompatibleCheckpointError
from millstream.model.positions import PositionChange
from millstream.recovery.decisions import (
    BatchDone,
    BatchPlanned,
    BatchPrepared,
    CheckpointWritten,
    Decision,
    Digest,
    DriverStarted,
    InputPlan,
    SinksOpened,
    SplitPlan,
    StateDelta,
)
from millstream.recovery.history import History
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.records import decision_of, record_of

PROGRAM: dict[str, Any] = {"interval_ms": 1_000, "inputs": ["in"], "outputs": ["out"], "tables": []}


def planned(time_ms: int, *, blocks: tuple[int, ...] = (), position: Any = None, attempt: int = 0) -> BatchPlanned:
    return BatchPlanned(time_ms, time_ms - 1_000, time_ms, (InputPlan("in", blocks, (), position),), attempt)


def delta(time_ms: int, data: bytes, attempt: int = 0) -> StateDelta:
    return StateDelta(time_ms, attempt, "counts", 0, data)


def written(time_ms: int, since: int, **values: Any) -> CheckpointWritten:
    return CheckpointWritten(time_ms, since, ("state/1",), 10, 1, PROGRAM, **values)


def folded(*decisions: Decision) -> History:
    history = History()
    history.fold(enumerate(decisions))
    return history


@pytest.mark.parametrize(
    "decision",
    [
        DriverStarted(3, 5_000, 4_000, PROGRAM),
        SinksOpened(5_000, {"out": 4_000, "other": None}),
        SinksOpened(5_000, {}, 4_000),
        SinksOpened(5_000, {"out": 4_000}, 4_000, "lineage", {"out": {"topic": "control"}}),
        BatchPlanned(
            1_000,
            0,
            1_000,
            (
                InputPlan("files", (), (SplitPlan({"path": "a", "size": 3}, None, "a"),), {"seen": ["a"]}),
                InputPlan("lines", (4, 5)),
            ),
            2,
        ),
        BatchPlanned(1_000, 0, 1_000, (InputPlan("files", (), (), PositionChange({"a": 1}, ("b",))),)),
        delta(1_000, b"\x00\xff"),
        BatchPrepared(
            1_000, 2, {"in": (Digest(3), Digest(None, 7))}, Digest(2, 99), {"out": (Digest(1, 5), Digest(0))}
        ),
        BatchPrepared(1_000, 0),
        BatchDone(1_000),
        BatchDone(1_000, {"in": {"controller": "m:C", "learnt": [1.5]}}),
        written(1_000, 7, positions={"files": (1, "a")}, downtimes=((1, 2), (3, 4)), blocks={"floor": 2, "above": [4]}),
    ],
)
def test_a_decision_comes_back_as_it_was(decision: Decision) -> None:
    kind, data = record_of(decision)
    assert decision_of(LogRecord(0, kind, data)) == decision


def test_records_of_a_version_that_kept_no_rates_are_read() -> None:
    assert decision_of(LogRecord(0, 5, encode({"time_ms": 1_000}))) == BatchDone(1_000)
    kind, data = record_of(written(1_000, 7))
    earlier = {name: value for name, value in decode(data).items() if name != "rates"}
    assert decision_of(LogRecord(0, kind, encode(earlier))) == written(1_000, 7)


def test_rates_are_those_of_the_newest_batch_that_has_them() -> None:
    one, two, three = ({"in": {"controller": "m:C", "learnt": number}} for number in (1, 2, 3))
    assert folded(BatchDone(1_000, one), BatchDone(2_000)).rates == one
    assert folded(BatchDone(1_000, one), BatchDone(2_000, two), BatchDone(3_000)).rates == two
    assert folded(written(1_000, 0, rates=one), planned(2_000), BatchDone(2_000)).rates == one
    assert folded(written(1_000, 0, rates=one), planned(2_000), BatchDone(2_000, three)).rates == three


def test_a_record_of_a_newer_version_is_refused() -> None:
    with pytest.raises(IncompatibleCheckpointError, match="newer"):
        decision_of(LogRecord(4, 200, b""))


def test_state_is_that_of_batches_that_are_done() -> None:
    history = folded(
        planned(1_000), delta(1_000, b"1"), BatchPrepared(1_000, 0), BatchDone(1_000),
        planned(2_000), delta(2_000, b"2"), BatchPrepared(2_000, 0),
    )  # fmt: skip
    assert [d.data for d in history.deltas] == [b"1"]
    assert (history.done_ms, history.planned_ms) == (1_000, 2_000)
    assert history.undone == planned(2_000)
    assert history.prepared == BatchPrepared(2_000, 0)


def test_of_several_attempts_the_prepared_one_counts() -> None:
    history = folded(
        planned(1_000), delta(1_000, b"first"), BatchPrepared(1_000, 0),
        planned(1_000, attempt=1), delta(1_000, b"second", 1), BatchPrepared(1_000, 1), BatchDone(1_000),
    )  # fmt: skip
    assert [d.data for d in history.deltas] == [b"second"]


def test_decisions_that_come_twice_count_once() -> None:
    once: list[Decision] = [planned(1_000, blocks=(0,)), delta(1_000, b"1"), BatchPrepared(1_000, 0), BatchDone(1_000)]
    history = folded(*[decision for decision in once for _ in range(2)])
    assert [d.data for d in history.deltas] == [b"1"]
    assert history.undone is None


def test_positions_and_blocks_are_those_of_the_newest_plan_even_if_it_is_not_done() -> None:
    history = folded(planned(1_000, blocks=(0, 2), position=5), BatchDone(1_000), planned(2_000, position=9))
    assert history.positions == {"in": 9}
    assert [number in history.blocks for number in range(4)] == [True, False, True, False]


def test_a_checkpoint_replaces_what_is_before_it() -> None:
    decisions: list[Decision] = [
        planned(1_000, position=5), delta(1_000, b"1"), BatchPrepared(1_000, 0), BatchDone(1_000),
        planned(2_000, position=6), delta(2_000, b"2"), BatchPrepared(2_000, 0), BatchDone(2_000),
        written(1_000, 4, positions={"in": 5}),
    ]  # fmt: skip
    whole, cut = folded(*decisions), folded(*decisions[4:])
    for history in (whole, cut):
        assert [d.data for d in history.deltas] == [b"2"]
        assert history.positions == {"in": 6}
        assert (history.done_ms, history.planned_ms) == (2_000, 2_000)
        assert history.checkpoint == decisions[-1]


def started(epoch: int, since_ms: int, begin_ms: int) -> tuple[DriverStarted, SinksOpened]:
    """What a driver journals that takes some time until it can make batches."""
    return DriverStarted(epoch, begin_ms - 500, since_ms, PROGRAM), SinksOpened(begin_ms + 1, {}, begin_ms)


def test_downtime_goes_on_until_a_driver_plans_a_batch() -> None:
    history = folded(
        DriverStarted(1, 1_000, None, PROGRAM), SinksOpened(1_000, {}, 1_000), planned(2_000), BatchDone(2_000),
        *started(2, 2_000, 9_000),
        *started(3, 2_000, 12_000), planned(12_000), BatchDone(12_000),
        *started(4, 12_000, 20_000),
    )  # fmt: skip
    assert history.downtimes == ((2_000, 12_000), (12_000, 20_000))
    assert history.epoch == 4


def test_a_start_that_finds_an_overdue_batch_prolongs_the_downtime_that_it_lies_in() -> None:
    history = folded(
        planned(2_000), BatchDone(2_000),
        *started(2, 2_000, 9_000), planned(4_000), BatchDone(4_000), planned(6_000),
        *started(3, 6_000, 20_000), planned(6_000), BatchDone(6_000), planned(21_000), BatchDone(21_000),
        *started(4, 21_000, 30_000),
    )  # fmt: skip
    assert history.downtimes == ((2_000, 20_000), (21_000, 30_000))


def test_a_driver_that_could_not_make_batches_ends_no_downtime() -> None:
    history = folded(planned(2_000), BatchDone(2_000), *started(2, 2_000, 9_000)[:1])
    assert history.downtimes == ()


def test_downtimes_of_the_first_format_are_read_as_ones_that_do_not_overlap() -> None:
    journal = folded(DriverStarted(2, 9_400, 2_000, PROGRAM), SinksOpened(9_500, {}), planned(10_000))
    assert journal.downtimes == ((2_000, 9_400),)
    assert folded(written(9_000, 0, downtimes=((2_000, 9_400), (6_000, 20_400)))).downtimes == ((2_000, 20_400),)


def test_a_journal_that_is_opened_again_knows_what_it_knew() -> None:
    log = MemoryLog()
    journal = LogJournal(log)
    journal.append(DriverStarted(1, 0, None, PROGRAM), planned(1_000, position={"a": 1}))
    journal.append(delta(1_000, b"1"), BatchPrepared(1_000, 0))
    journal.note(BatchDone(1_000))
    journal.append(planned(2_000))
    assert LogJournal(log).history == journal.history


def test_the_position_of_a_sender_is_that_of_the_blocks_that_were_planned() -> None:
    """Blocks may be released from the write-ahead log before the next checkpoint: the plan has the position."""
    history = folded(planned(1_000, blocks=(0, 1), position=8), BatchDone(1_000), planned(2_000))
    assert (history.block_positions, history.positions) == ({"in": 8}, {})


def test_of_two_checkpoints_the_newer_position_of_a_pushed_input_counts() -> None:
    history = folded(*(written(1_000 * n, n, block_positions={"lines": n}) for n in (3, 12)))
    assert history.block_positions == {"lines": 12}


def test_changes_of_a_position_are_folded_into_it() -> None:
    first = {"a": 1, "b": 1}
    history = folded(
        planned(1_000, position=first),
        planned(2_000, position=PositionChange({"c": 2}, ("a",))),
        planned(3_000, position=PositionChange({"d": 3})),
    )
    assert history.positions == {"in": {"b": 1, "c": 2, "d": 3}}
    assert first == {"a": 1, "b": 1}
    now = history.positions_now()
    history.take(planned(4_000, position=PositionChange({}, ("b",))), 9)
    assert (now["in"], history.positions["in"]) == ({"b": 1, "c": 2, "d": 3}, {"c": 2, "d": 3})


def test_a_checkpoint_brings_the_position_that_changes_before_it_in_the_journal_belong_to() -> None:
    history = folded(
        planned(2_000, position=PositionChange({"b": 2}, ("x",))),
        planned(3_000, position=PositionChange({"c": 3}, ("b",))),
        written(2_000, 0, positions={"in": {"a": 1, "b": 2}}),
        planned(4_000, position=PositionChange({"d": 4})),
    )
    assert history.positions == {"in": {"a": 1, "c": 3, "d": 4}}


def test_what_sinks_note_is_kept_until_sinks_are_opened_again() -> None:
    opened = SinksOpened(5_000, {"out": None}, None, "lineage", {"out": {"id": 1}, "gone": {"id": 2}})
    started = DriverStarted(2, 5_000, None, PROGRAM)
    kept = {"lineage_id": "lineage", "notes": {"out": {"id": 1}, "gone": {"id": 2}}}
    assert folded(opened, started).sinks == kept
    assert folded(written(1_000, 0, sinks=kept), started).sinks == kept
    assert folded(opened, SinksOpened(6_000, {"out": None}, None, "lineage", {"out": {"id": 1}})).sinks == {
        "lineage_id": "lineage",
        "notes": {"out": {"id": 1}},
    }
