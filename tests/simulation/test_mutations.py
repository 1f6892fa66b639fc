"""A check of the proof: without any one of the rules of durability the simulation finds what goes wrong."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import millstream as ms
from millstream.blocks import found_log
from millstream.blocks.block_log import BlockLog
from millstream.blocks.object_row import ObjectRow
from millstream.control import logged_blocks
from millstream.control.batch_inputs import BatchInputs
from millstream.control.batch_work import BatchWork
from millstream.control.durability import Durability
from millstream.control.open_batch import OpenBatch
from millstream.errors import FencedError
from millstream.graph.durable_state import DurableState
from millstream.graph.window import WindowParts
from millstream.ingest import block_buffer
from millstream.recovery import checkpoint, history
from millstream.recovery.checkpoint import Checkpoint
from millstream.recovery.checkpoint_writer import CheckpointWriter
from millstream.recovery.decisions import BatchPlanned, BatchPrepared, Decision
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.number_set import NumberSet
from millstream.recovery.savepoint import Savepoint
from millstream.state.downtime import Downtime
from millstream.state.table import StateTable
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.objects import SimulatedBucket
from millstream.testing.simulation.simulate import ALL_FAULTS, SimulationError, simulate
from millstream.testing.simulation.simulation import Outcome
from millstream.testing.simulation.table import SimulatedSink
from millstream.testing.simulation.world import Fault
from tests.simulation.runs import run_seeds

BUDGET = 300
"""Within so many seeds the lack of a rule is found."""

Patch = pytest.MonkeyPatch


def _unsynced(*kinds: type[Any]) -> Callable[[Patch], None]:
    """Write decisions of some kinds without waiting until they are durable."""

    def mutate(patch: Patch) -> None:
        append = LogJournal.append

        def write(self: LogJournal, *decisions: Decision) -> None:
            if isinstance(decisions[-1], kinds):
                for decision in decisions:
                    self.note(decision)
            else:
                append(self, *decisions)

        patch.setattr(LogJournal, "append", write)

    return mutate


def _acknowledged_early(patch: Patch) -> None:
    def store(self: BlockLog, input: str, data: Any, records: int, batch_ms: int, position: Any, invalid: int) -> int:
        from millstream.model.ports.block_feed import Block

        return self.write(input, Block(data, records, batch_ms, position, invalid))

    patch.setattr(BlockLog, "store", store)


def _no_idempotence(patch: Patch) -> None:
    """The sink forgets what it has committed, and adds what comes again."""

    def commit(self: Any, batch: Any, receipts: Any) -> None:
        rows = [row for name in receipts for row in self._table.staged[name]]
        self._table.batches.setdefault(batch.time_ms, []).extend(rows)

    patch.setattr(SimulatedSink, "commit", commit)


def _no_newest_commit(patch: Patch) -> None:
    """The sink does not say what it has committed, and would commit it again."""
    _no_idempotence(patch)
    patch.setattr(SimulatedSink, "open", lambda self, lineage: None)


def _no_attempt_in_names(patch: Patch) -> None:
    patch.setattr(SimulatedSink, "_staged_name", lambda self, batch, partition: f"{batch.time_ms}-{partition}")


def _left_blocks_forgotten(patch: Patch) -> None:
    """A start does not go on with what a stop has left."""
    patch.setattr(Durability, "blocks", {})


def _attempts_alike(patch: Patch) -> None:
    """The next attempt at a batch has the number of the one that failed, whose tasks may still be at work."""
    run = BatchWork.run

    def again(self: BatchWork, time_ms: int, attempt: int, outputs: tuple[str, ...]) -> None:
        run(self, time_ms, 0, outputs)

    patch.setattr(BatchWork, "run", again)


def _open_version_stays(patch: Patch) -> None:
    """A task that runs again works on the state that its first run has left."""
    begin = StateTable.begin

    def begun(self: StateTable, batch_ms: int) -> None:
        if batch_ms not in self.open_batches:
            begin(self, batch_ms)

    patch.setattr(StateTable, "begin", begun)


def _no_epoch_in_sink(patch: Patch) -> None:
    """The sink takes what an old driver commits that wakes up after another one has taken over."""
    original = SimulatedSink.commit

    def commit(self: Any, batch: Any, receipts: Any) -> None:
        self._epoch = self._table.epoch
        original(self, batch, receipts)

    patch.setattr(SimulatedSink, "commit", commit)


def _no_undo(patch: Patch) -> None:
    """The next attempt works on the state that a failed one has left."""

    rollback = StateTable.rollback

    def keep(self: StateTable, batch_ms: int) -> None:
        left = [version.values for version in self.versions if version.batch_ms >= batch_ms]
        rollback(self, batch_ms)
        for values in left:
            self._committed.update((key, value) for key, value in values.items() if type(value) is list)

    patch.setattr(StateTable, "rollback", keep)


def _positions_ignored(patch: Patch) -> None:
    patch.setattr(block_buffer, "is_repeated", lambda position, newest: False)
    patch.setattr(logged_blocks, "is_repeated", lambda position, newest: False)


def _released_at_once(patch: Patch) -> None:
    """Blocks go before it is durable that their batch is done."""
    done = Durability.done

    def release(self: Durability, time_ms: int, numbers: Any) -> None:
        done(self, time_ms, numbers)
        self.after_plan()

    patch.setattr(Durability, "done", release)


def _journal_released_early(patch: Patch) -> None:
    """Only what the newest checkpoint needs is kept."""

    def release(self: CheckpointWriter) -> None:
        newest = self._checkpoint.history.checkpoints[-1]
        self._checkpoint.journal.release(newest.since)
        storage = self._checkpoint.storage
        for name in storage.names("state"):
            if f"state/{name}" not in newest.files:
                storage.remove(f"state/{name}")

    patch.setattr(CheckpointWriter, "_release", release)


def _tail_trusted(patch: Patch) -> None:
    """Records behind the last certain end count as they are, and are not written again."""
    find = found_log.find_log

    def found(storage: Any, folder: str) -> Any:
        log = find(storage, folder)
        log.tail = []
        return log

    patch.setattr("millstream.blocks.segment_log.find_log", found)


def _overlapping_downtimes(patch: Patch) -> None:
    """A start that finds an overdue batch counts from that one, in a downtime of its own."""
    patch.setattr(
        history, "with_downtime", lambda spans, planned_ms, begin_ms: (*spans, Downtime(planned_ms, begin_ms))
    )


def _nothing_repeated(patch: Patch) -> None:
    patch.setattr(Durability, "repeats", False)


def _settled_without_checkpoint(patch: Patch) -> None:
    """Without a state log blocks go as soon as their batch is done."""

    def done(self: Durability, time_ms: int, numbers: Any) -> None:
        self._settled.extend(numbers)
        self._writer.batch_done()

    patch.setattr(Durability, "done", done)


def _epochs_begin_anew(patch: Patch) -> None:
    """A program from a savepoint that its sinks take for the one of before numbers its drivers anew."""
    patch.setattr(checkpoint, "_newest_epoch", lambda origin, savepoint: 0)


def _savepoint_noted_first(patch: Patch) -> None:
    """A new checkpoint says that it began from a savepoint before it has its files."""

    def begun(self: Checkpoint, origin: Any, savepoint: Savepoint, *, continue_sinks: bool) -> None:
        if not self.history.checkpoints:
            epoch = checkpoint._newest_epoch(origin, savepoint) if continue_sinks else 0
            self.journal.append(replace(savepoint.written, since=0, epoch=epoch, blocks=NumberSet().plain()))
            for name in savepoint.written.files:
                self.storage.create(name, origin.read(name))

    patch.setattr(Checkpoint, "begin_from", begun)


FAULTS: dict[str, tuple[Fault, ...]] = {
    "a start forgets blocks that no batch had": ("crash", "stop"),
    "BatchPlanned is not synced": ("crash",),
    "staged names lack epoch and attempt": ("late task", "silent task"),
    "attempts at a batch have one number": ("late task", "silent task"),
    "a task that runs again finds its first run in the state": ("repeated task",),
    "a sink is not fenced by the epoch": ("crash", "pause"),
    "drivers from a savepoint are numbered anew": ("crash", "stop", "savepoint"),
    "a savepoint is noted before its files are there": ("crash", "savepoint"),
    "the state of a failed attempt stays": ("task", "sink"),
}
"""What finds the lack of a rule soonest; for the others everything goes wrong."""

MUTATIONS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "BatchPlanned is not synced": ("stateless", _unsynced(BatchPlanned)),
    "blocks are acknowledged before they are durable": ("two_sinks", _acknowledged_early),
    "blocks without positions are acknowledged before they are durable": ("resent", _acknowledged_early),
    "a start forgets blocks that no batch had": ("unanswered", _left_blocks_forgotten),
    "a commit is not idempotent": ("stateless", _no_idempotence),
    "a sink does not tell its newest commit": ("stateless", _no_newest_commit),
    "staged names lack epoch and attempt": ("stateless", _no_attempt_in_names),
    "attempts at a batch have one number": ("stateless", _attempts_alike),
    "a task that runs again finds its first run in the state": ("totals", _open_version_stays),
    "a sink is not fenced by the epoch": ("two_sinks", _no_epoch_in_sink),
    "the state of a failed attempt stays": ("totals", _no_undo),
    "positions that come again are taken": ("two_sinks", _positions_ignored),
    "blocks are released before BatchDone is durable": ("two_sinks", _released_at_once),
    "one checkpoint is kept": ("totals", _journal_released_early),
    "the tail of a log is dropped": ("two_sinks", _tail_trusted),
    "drivers from a savepoint are numbered anew": ("stateless", _epochs_begin_anew),
    "a savepoint is noted before its files are there": ("totals", _savepoint_noted_first),
    "downtimes overlap": ("slid_sessions", _overlapping_downtimes),
    "batches without a state log are not run again": ("unlogged", _nothing_repeated),
    "blocks that are to be read again are released": ("unlogged", _settled_without_checkpoint),
}


def _puts_unconditional(patch: Patch) -> None:
    """An old driver that wakes up writes over what the new one has put."""
    init = SimulatedBucket.__init__

    def made(self: SimulatedBucket, clock: Any = None) -> None:
        init(self, clock, conditional=False)

    patch.setattr(SimulatedBucket, "__init__", made)


def _refusals_ignored(patch: Patch) -> None:
    """An append that is refused, because another driver has claimed the log, counts as made."""
    put = ObjectRow.put

    def made(self: ObjectRow, header: Any, data: bytes) -> None:
        with suppress(FencedError):
            put(self, header, data)

    patch.setattr(ObjectRow, "put", made)


OBJECT_MUTATIONS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "puts are not conditional": ("two_sinks", _puts_unconditional),
    "an append that is refused counts as made": ("two_sinks", _refusals_ignored),
}


@pytest.mark.parametrize("name", OBJECT_MUTATIONS)
def test_the_lack_of_a_rule_on_an_object_store_is_found(name: str, monkeypatch: Patch) -> None:
    program, mutate = OBJECT_MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises(SimulationError):
        run_seeds(program, range(BUDGET), storage="objects", faults=("crash", "pause"))


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_lack_of_a_rule_is_found(name: str, monkeypatch: Patch) -> None:
    program, mutate = MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises(SimulationError):
        run_seeds(program, range(BUDGET), faults=FAULTS.get(name, ALL_FAULTS))


def _plans_stay(patch: Patch) -> None:
    """The driver holds on to the plan of a batch that is done."""
    release = BatchWork._release

    def keep(self: BatchWork, work: OpenBatch, time_ms: int) -> None:
        release(self, work, time_ms)
        self._works[time_ms] = work

    patch.setattr(BatchWork, "_release", keep)


def _nothing_settles(patch: Patch) -> None:
    patch.setattr(Durability, "after_plan", lambda self: None)


def _blocks_stay(patch: Patch) -> None:
    patch.setattr(BatchInputs, "release_blocks", lambda self, instruction: None)


def _parts_stay(patch: Patch) -> None:
    patch.setattr(WindowParts, "forget", lambda self, until_ms: None)


def _versions_stay(patch: Patch) -> None:
    """What a batch has changed is taken in, and its version stays open."""
    commit = StateTable.commit

    def committed(self: StateTable, batch_ms: int) -> None:
        versions = self.versions
        commit(self, batch_ms)
        self.versions = versions[-1:]

    patch.setattr(StateTable, "commit", committed)


MEMORY_MUTATIONS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "the plan of a batch that is done stays": ("stateless", _plans_stay),
    "blocks whose batches are done are not settled": ("two_sinks", _nothing_settles),
    "blocks of batches that are planned stay": ("two_sinks", _blocks_stay),
    "parts stay that have left their window": ("window", _parts_stay),
    "parts stay that have left the running values": ("inverse_window", _parts_stay),
    "versions of batches that are done stay open": ("totals", _versions_stay),
}


@pytest.mark.parametrize("name", MEMORY_MUTATIONS)
def test_what_the_driver_does_not_let_go_of_is_found(name: str, monkeypatch: Patch) -> None:
    program, mutate = MEMORY_MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises(SimulationError) as caught:
        run_seeds(program, range(BUDGET), faults=())
    assert caught.value.violation.rule == "bounded memory"


def _hidden(ssc: ms.StreamingContext, sim: Connections) -> None:
    """Totals that no sink shows, so that outputs tell nothing of what is remembered."""
    totals = sim.stream("numbers").map(lambda n: (n % 3, n)).update_state_by_key(_total, name="totals")
    totals.filter(lambda pair: False).write_to(sim.sink("nothing"))


def _total(new: list[int], old: list[int] | None) -> list[int]:
    total = old if old is not None else [0]
    total[0] += sum(new)
    return total


def _nothing_loaded(patch: Patch) -> None:
    """A start takes up no state; its checkpoints, made of what batches change, stay right."""
    patch.setattr(DurableState, "load", lambda self, tables, done_ms, *, stored=None: None)


STATE_MUTATIONS: dict[str, tuple[tuple[Fault, ...], Callable[[Patch], None]]] = {
    "the state of a failed attempt stays": (("task", "sink"), _no_undo),
    "a start forgets what was remembered": (("crash", "stop"), _nothing_loaded),
}


@pytest.mark.parametrize("name", STATE_MUTATIONS)
def test_state_that_is_wrong_and_not_shown_is_found(name: str, monkeypatch: Patch) -> None:
    faults, mutate = STATE_MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises(SimulationError) as caught:
        simulate(_hidden, {"numbers": list(range(60))}, seeds=range(BUDGET), faults=faults)
    assert caught.value.violation.rule == "state_version"


def _drifting() -> Callable[[ms.StreamingContext, Connections], None]:
    """A program that comes to another state whenever it runs again."""
    draws = itertools.count(1)

    def draw(values: list[int], total: tuple[int, int] | None) -> tuple[int, int]:
        drawn = next(draws)
        return (total[0] if total is not None else 0) + drawn, drawn

    def program(ssc: ms.StreamingContext, sim: Connections) -> None:
        pairs = sim.stream("numbers").map(lambda n: (n % 2, n))
        pairs.update_state_by_key(draw, name="totals").write_to(sim.sink("totals"))

    return program


def _follows(outcome: Outcome) -> None:
    """Each total is the one that was committed before and what was drawn since."""
    totals: dict[int, int] = {}
    for rows in outcome.outputs["totals"].values():
        for key, (total, drawn) in rows:
            assert total == totals.get(key, 0) + drawn
            totals[key] = total


def _violations() -> Counter[str]:
    """Simulate the program that drifts, and count the rules that it broke."""
    broken = Counter[str]()
    for seed in range(60):
        try:
            simulate(_drifting(), {"numbers": list(range(60))}, seeds=[seed], check=_follows, deterministic=False)
        except SimulationError as error:
            noticed = "came to another state" in str(error)
            broken["noticed" if noticed else error.violation.rule] += 1
    return broken


def test_a_batch_that_comes_out_differently_after_a_commit_is_always_noticed() -> None:
    broken = _violations()
    assert set(broken) == {"noticed"}


def test_without_the_sync_of_deltas_and_batch_prepared_it_is_not(monkeypatch: Patch) -> None:
    _unsynced(BatchPrepared)(monkeypatch)
    assert _violations()["check"] > 0
