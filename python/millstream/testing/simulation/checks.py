"""The rules that every simulation is checked against."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence, Set
from typing import Any

from millstream.blocks.block_log import BlockLog
from millstream.blocks.opening import open_log
from millstream.encoding.rows import Frame
from millstream.environment.storage import Storage
from millstream.recovery.checkpoint import JOURNAL_FOLDER, STATE_FOLDER, WAL_FOLDER
from millstream.recovery.chunk_file import decode_chunk_file
from millstream.recovery.dead_letters import read_dead_letters
from millstream.recovery.decisions import BatchDone, BatchPrepared, CheckpointWritten, StateDelta
from millstream.recovery.history import History, logs_state
from millstream.recovery.log_journal import LogJournal
from millstream.state.merge import merged
from millstream.testing.simulation.input import SimulatedInput
from millstream.testing.simulation.object_place import ObjectPlace
from millstream.testing.simulation.state_image import StateImage
from millstream.testing.simulation.storage import SimulatedStorage
from millstream.testing.simulation.violation import ViolationError
from millstream.testing.simulation.world import SimulatedBatch, World

FILES_MAX = {JOURNAL_FOLDER: 60, WAL_FOLDER: 60, STATE_FOLDER: 24}
"""How many files there are at most, however long a program has run: segments of two checkpoint intervals and of the
crashes since, and state files of two checkpoints."""

OBJECTS_MAX = {JOURNAL_FOLDER: 160, WAL_FOLDER: 160, STATE_FOLDER: 24}
"""The same on an object store, where each append is an object."""


def check_outcome(world: World, batches: Sequence[SimulatedBatch]) -> None:
    """exactly_once, at_least_once, at_most_once: which records are in batches, in the order in which they arrived."""
    for name, given in world.inputs.items():
        if not given.kind:
            continue
        rows = [row for batch in batches for row in batch.inputs[name]]
        if given.kind == "pushed without positions":
            missing = Counter(map(repr, given.records)) - Counter(map(repr, rows))
            if missing:
                raise ViolationError("at_least_once", f"of {name} the batches do not have {dict(missing)}")
        elif given.kind == "pushed without answers":
            _check_lost(given, rows, world.orderly)
        elif rows != list(given.records):
            raise ViolationError("exactly_once", _difference(name, list(given.records), rows))


def _check_lost(given: SimulatedInput, rows: list[Any], orderly: Set[int]) -> None:
    """at_most_once: only the last records of a run that did not end in order are in no batch; no record is in two."""
    left, cut = deque(rows), set[int]()
    for run, arrival in zip(given.runs, given.arrivals, strict=True):
        for record in given.records[arrival.low : arrival.high]:
            if left and left[0] == record and run not in cut:
                left.popleft()
            elif run in orderly:
                raise ViolationError("at_most_once", f"{record} of {given.name} is lost, and its run ended in order")
            else:
                cut.add(run)
    if left:
        raise ViolationError("at_most_once", f"{list(left)} of {given.name} came again, or after what is lost")


def given_up(world: World) -> list[SimulatedBatch]:
    """Give the batches that were given up, with what their dead letters say they had; no sink may have one of them.

    Raises:
        ViolationError: a sink has one.
    """
    batches = []
    storages = [*world.left, world.storage.copied()]
    for letter in (letter for storage in storages for letter in read_dead_letters(storage)):
        time_ms = letter.planned.time_ms
        for table in world.tables.values():
            if time_ms in table.batches:
                raise ViolationError("skip", f"{table.name} has {time_ms}, which was given up")
        parts: dict[str, list[list[Any]]] = {name: [] for name in world.inputs}
        for name, records in letter.blocks:
            parts[name].append(list(records))
        for plan in letter.planned.inputs:
            given = world.inputs.get(plan.input)
            if given is not None and given.kind == "stream":
                spans = [split.data for split in plan.splits]
                parts[plan.input] += [list(given.records[low:high]) for low, high in spans]
        batches.append(SimulatedBatch(time_ms, parts))
    return batches


def _difference(name: str, records: list[Any], rows: list[Any]) -> str:
    arrived, had = Counter(map(repr, records)), Counter(map(repr, rows))
    missing, repeated = dict(arrived - had), dict(had - arrived)
    if not missing and not repeated:
        at = next(place for place, (a, b) in enumerate(zip(records, rows, strict=True)) if a != b)
        return f"the batches have the records of {name} in another order, from place {at} on"
    return f"of {name} the batches lack {missing} and have once more {repeated}"


def check_kept_checkpoints(history: History, storage: SimulatedStorage | ObjectPlace) -> None:
    """retention: the two newest checkpoints are usable, and come to the same state."""
    if len(history.checkpoints) < 2:
        return
    quiet = storage.copied()
    if not logs_state(history.program):
        _check_repeatable(history, quiet)
        return
    journal = LogJournal(open_log(quiet, JOURNAL_FOLDER, read_only=True))
    older, newest = history.checkpoints
    state = _state_of(quiet, newest, [])
    if older.program.get("tables") != newest.program.get("tables"):
        _state_of(quiet, older, [])  # The program was changed in between, and its state is in another form.
        return
    rebuilt = _state_of(quiet, older, _deltas(journal, older, newest))
    if state != rebuilt:
        raise ViolationError(
            "retention",
            f"the checkpoints of {older.time_ms} and of {newest.time_ms} come to different states of "
            f"{sorted(table for table in {*state, *rebuilt} if state.get(table) != rebuilt.get(table))}",
        )


def _check_repeatable(history: History, storage: Storage) -> None:
    """retention: without a state log both checkpoints are there, and what the batches since the older one had."""
    for written in history.checkpoints:
        _state_of(storage, written, [])
    needed = {number for plan, _ in history.unlogged for given in plan.inputs for number in given.blocks}
    stored = {block.number for block in BlockLog(open_log(storage, WAL_FOLDER, read_only=True)).stored()}
    if missing := needed - stored:
        raise ViolationError("retention", f"blocks that have to be read again are gone: {sorted(missing)}")


def _state_of(storage: Storage, written: CheckpointWritten, deltas: list[StateDelta]) -> dict[Any, Frame]:
    chunks: dict[tuple[str, int], list[Frame]] = {}
    for name in written.files:
        try:
            data = storage.read(name)
        except FileNotFoundError as error:
            what = f"{name}, which the checkpoint of {written.time_ms} needs, is gone"
            raise ViolationError("retention", what) from error
        for chunk in decode_chunk_file(data, name):
            chunks.setdefault((chunk.table, chunk.partition), []).append(chunk.data)
    for delta in deltas:
        chunks.setdefault((delta.table, delta.partition), []).append(delta.data)
    return {table: merged(parts, final=True) for table, parts in chunks.items()}


def _deltas(journal: LogJournal, older: CheckpointWritten, newest: CheckpointWritten) -> list[StateDelta]:
    """List the deltas between two checkpoints as the journal has them: of the attempts that were prepared."""
    unsettled: dict[tuple[int, int, str, int], StateDelta] = {}
    prepared: dict[int, int] = {}
    done: list[int] = []
    for _, decision in journal.numbered(older.since):
        match decision:
            case StateDelta():
                unsettled[(decision.time_ms, decision.attempt, decision.table, decision.partition)] = decision
            case BatchPrepared():
                prepared[decision.time_ms] = decision.attempt
            case BatchDone() if decision.time_ms not in done:
                done.append(decision.time_ms)
    return [
        delta
        for time_ms in sorted(done)
        if older.time_ms < time_ms <= newest.time_ms
        for (of_ms, attempt, _, _), delta in unsettled.items()
        if of_ms == time_ms and attempt == prepared.get(time_ms)
    ]


def check_states(states: Mapping[int, StateImage], undisturbed: Mapping[int, StateImage]) -> None:
    """state_version: after each batch that is done the program remembers what an undisturbed run does."""
    for time_ms, image in sorted(states.items()):
        other = undisturbed.get(time_ms)
        if other is None:
            raise ViolationError("state_version", f"{time_ms} is done, and in an undisturbed run it is not")
        if differences := image.differences(other):
            raise ViolationError("state_version", f"after {time_ms} not as in an undisturbed run: {differences}")


def check_size(storage: SimulatedStorage | ObjectPlace) -> None:
    """bounded: what is not needed any more goes."""
    limits = OBJECTS_MAX if isinstance(storage, ObjectPlace) else FILES_MAX
    for folder, files_max in limits.items():
        names = [name for name in storage.sizes if name.startswith(f"{folder}/")]
        if len(names) > files_max:
            raise ViolationError("bounded", f"there are {len(names)} files in {folder}/: {names}")
