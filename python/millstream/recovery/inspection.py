"""A look at a checkpoint, by a person, while a program runs with it or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millstream.blocks.block_log import BlockLog
from millstream.blocks.opening import open_log
from millstream.encoding.rows import Frame
from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError, CorruptSegmentError
from millstream.recovery.checkpoint import JOURNAL_FOLDER, STATE_FOLDER, WAL_FOLDER, state_chunks
from millstream.recovery.chunk_file import TableChunk, chunks_within
from millstream.recovery.dead_letters import DeadLetter, read_dead_letters
from millstream.recovery.history import History
from millstream.recovery.identity import Identity, read_identity
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.savepoint import Savepoint, files_held, read_savepoint, savepoint_names
from millstream.state.chunk import described
from millstream.state.merge import merged
from millstream.state.table_identity import TableIdentity


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of a checkpoint.

    Attributes:
        identity: what the checkpoint knows of it.
        keys: how many keys it holds.
        size_bytes: of its encoded keys and values.
    """

    identity: TableIdentity
    keys: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """What a checkpoint holds.

    Attributes:
        place: where it is.
        identity: what is fixed.
        history: what its decisions come to.
        tables: the state, as of the newest batch that is done.
        waiting: records of pushed inputs that no batch had, by input.
        savepoints: what was pinned.
        dead_letters: batches that were given up.
        log_bytes: size of journal and write-ahead log.
        state_bytes: size of the state files.
    """

    place: str
    identity: Identity
    history: History
    tables: tuple[TableView, ...]
    waiting: dict[str, int]
    savepoints: tuple[Savepoint, ...]
    dead_letters: Sequence[DeadLetter]
    log_bytes: int
    state_bytes: int


def inspect(storage: Storage) -> CheckpointView:
    """Read what a checkpoint holds, and change nothing: the logs and the state as of the newest batch that is done.

    Raises:
        ConfigurationError: there is none at this place.
        CorruptSegmentError: it is damaged; names file and place.
        IncompatibleCheckpointError: a newer version wrote it.
    """
    identity = identity_at(storage)
    journal = LogJournal(open_log(storage, JOURNAL_FOLDER, read_only=True))
    wal = open_log(storage, WAL_FOLDER, read_only=True)
    history = journal.history
    waiting: dict[str, int] = {}
    for block in BlockLog(wal).stored():
        if block.number not in history.blocks:
            waiting[block.input] = waiting.get(block.input, 0) + block.records
    return CheckpointView(
        place=storage.place,
        identity=identity,
        history=history,
        tables=_tables(history, state_chunks(storage, history)),
        waiting=waiting,
        savepoints=tuple(_complete(storage, name) for name in savepoint_names(storage)),
        dead_letters=read_dead_letters(storage),
        log_bytes=journal.size_bytes + wal.size_bytes,
        state_bytes=sum(storage.size_bytes(f"{STATE_FOLDER}/{name}") for name in storage.names(STATE_FOLDER)),
    )


def verify(storage: Storage) -> CheckpointView:
    """Read every byte that a start may need, also one from a savepoint or from the older of the two checkpoints.

    Raises:
        ConfigurationError: there is none at this place.
        CorruptSegmentError: it is damaged; names file and place.
        IncompatibleCheckpointError: a newer version wrote it.
    """
    view = inspect(storage)
    checkpoints = view.history.checkpoints
    read = set(checkpoints[-1].files) if checkpoints else set[str]()
    pinned = [point.written for point in view.savepoints]
    for name in dict.fromkeys(file for written in (*checkpoints, *pinned) for file in written.files):
        if name not in read:
            _read_through(storage, name)
    # Twice: a program that runs may have ended the batch, and let go of its blocks, since its journal was read.
    if _missing_blocks(storage, view.history) and (missing := _missing_blocks(storage, _history(storage))):
        raise CorruptSegmentError(
            "Blocks of a batch that runs again are not in the write-ahead log.",
            detail=f"{storage.place}/{WAL_FOLDER} does not have the blocks {sorted(missing)}, or has them damaged.",
            hint="Restore the folder from a copy, or skip the batch: millstream checkpoint skip.",
        )
    return view


def _history(storage: Storage) -> History:
    return LogJournal(open_log(storage, JOURNAL_FOLDER, read_only=True)).history


def _missing_blocks(storage: Storage, history: History) -> set[int]:
    plans = [plan for plan, _ in history.to_repeat]
    if history.undone is not None:
        plans.append(history.undone)
    wanted = {number for plan in plans for given in plan.inputs for number in given.blocks}
    if not wanted:
        return wanted
    return wanted.difference(
        stored.number for stored in BlockLog(open_log(storage, WAL_FOLDER, read_only=True)).stored()
    )


def _read_through(storage: Storage, name: str) -> None:
    place = f"{storage.place}/{name}"
    try:
        chunks_within(storage.read(name), place)
    except FileNotFoundError as error:
        # A program that runs may have written a checkpoint meanwhile, after which nothing needs the file any more.
        if name in files_held(storage).union(*(written.files for written in _history(storage).checkpoints)):
            raise CorruptSegmentError(
                "A state file of the checkpoint is missing.",
                detail=f"{place} is not there; a savepoint or the older checkpoint needs it.",
                hint="Restore the file from a copy.",
            ) from error


def identity_at(storage: Storage) -> Identity:
    """Read the identity of a checkpoint.

    Raises:
        ConfigurationError: there is none at this place.
    """
    identity = read_identity(storage)
    if identity is None:
        raise ConfigurationError(
            "There is no checkpoint at this place.",
            detail=f"{storage.place} has no checkpoint.json.",
            hint="Give the place that the program has as checkpoint=.",
        )
    return identity


def stored_tables(history: History) -> tuple[TableIdentity, ...]:
    """Give what a checkpoint knows of its tables."""
    return tuple(TableIdentity(**table) for table in (history.program or {}).get("tables", ()))


def _tables(history: History, chunks: Sequence[TableChunk]) -> tuple[TableView, ...]:
    parts: dict[str, dict[int, list[Frame]]] = {}
    for chunk in chunks:
        parts.setdefault(chunk.table, {}).setdefault(chunk.partition, []).append(chunk.data)
    views = []
    for identity in stored_tables(history):
        wholes = [merged(data, final=True) for data in parts.get(identity.table, {}).values()]
        keys = sum(described(whole).entries_count for whole in wholes)
        views.append(TableView(identity, keys, sum(map(len, wholes))))
    return tuple(views)


def _complete(storage: Storage, name: str) -> Savepoint:
    savepoint = read_savepoint(storage, name)
    for file in savepoint.written.files:
        try:
            storage.size_bytes(file)
        except FileNotFoundError as error:
            raise CorruptSegmentError(
                f"The savepoint {name!r} cannot be used.",
                detail=f"{storage.place}/{file} is missing.",
                hint="Restore the file from a copy, or remove the savepoint.",
            ) from error
    return savepoint
