"""A checkpoint on storage: what recovery starts from, open for one driver."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from millstream.blocks.block_log import BlockLog
from millstream.blocks.log import Log
from millstream.blocks.opening import open_log
from millstream.environment.lock import Lock
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError
from millstream.recovery.chunk_file import TableChunk, decode_chunk_file
from millstream.recovery.history import History
from millstream.recovery.identity import IDENTITY_FILE, Identity, check_hashing, read_identity
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.number_set import NumberSet
from millstream.recovery.savepoint import Savepoint

JOURNAL_FOLDER = "journal"
WAL_FOLDER = "wal"
STATE_FOLDER = "state"


class Checkpoint:
    """Everything durable of one program, held by this driver alone until `close`.

    Args:
        storage: where it lives.
        lock: keeps other drivers away; released with this.
        identity: what is fixed.
        journal: the decisions.
        blocks: the write-ahead log.

    Attributes:
        lock: as given.
        is_new: no driver has run with it.
    """

    def __init__(self, storage: Storage, lock: Lock, identity: Identity, journal: LogJournal, blocks: BlockLog) -> None:
        self.storage = storage
        self.lock = lock
        self.identity = identity
        self.journal = journal
        self.blocks = blocks
        self.is_new = journal.history.epoch == 0

    @classmethod
    def open(
        cls,
        storage: Storage,
        lock: Lock,
        name: str,
        *,
        make: Callable[[], Identity],
        open_log: Callable[[Storage, str], Log],
        tell_read: Callable[[int, int], None] | None = None,
    ) -> Checkpoint:
        """Open the checkpoint of a program, or make one.

        Args:
            storage: where it lives.
            lock: of the storage, which the caller holds.
            name: of the program.
            make: gives the identity of a new checkpoint.
            open_log: opens a log in a folder of the storage.
            tell_read: told now and then how many records of the journal were read, and how many there are.

        Raises:
            IncompatibleCheckpointError: it belongs to another program, or to a newer version, or its keys are in other
                key groups.
            CorruptSegmentError: it is damaged.
            StorageUnavailableError: the storage does not answer.
        """
        identity = read_identity(storage)
        if identity is None:
            _refuse_without_identity(storage)
            identity = make()
            storage.create(IDENTITY_FILE, identity.encode())
        elif not storage.names(JOURNAL_FOLDER):
            # Who made it may have ended before it was durable, and no journal may be without it.
            storage.create(IDENTITY_FILE, identity.encode())
        _check(identity, name, storage)
        journal = LogJournal(open_log(storage, JOURNAL_FOLDER), tell_read)
        try:
            return cls(storage, lock, identity, journal, BlockLog(open_log(storage, WAL_FOLDER)))
        except BaseException:
            journal.close()
            raise

    def begin_from(self, origin: Storage, savepoint: Savepoint, *, continue_sinks: bool = False) -> None:
        """Begin a new checkpoint with the state and the positions of a savepoint.

        A crash in between leaves a checkpoint that no driver has run with: the next start does it again.

        Args:
            origin: where the savepoint is.
            savepoint: what to begin with.
            continue_sinks: its sinks take this program for the one of before, whose drivers all come before its own.

        Raises:
            CorruptSegmentError: a file that the savepoint needs is damaged or gone.
            IncompatibleCheckpointError: keys are in other key groups there.
        """
        if self.history.checkpoints:
            return
        savepoint.check_hashing(origin)
        written = savepoint.written
        for name in written.files:
            self.storage.create(name, _read(origin, name))
        epoch = _newest_epoch(origin, savepoint) if continue_sinks else 0
        # Blocks are numbered anew: this checkpoint has a write-ahead log of its own.
        self.journal.append(replace(written, since=0, epoch=epoch, blocks=NumberSet().plain()))

    @property
    def history(self) -> History:
        """What all decisions come to."""
        return self.journal.history

    def chunks(self, tell_read: Callable[[int, int], None] | None = None) -> list[TableChunk]:
        """Read the state as of the newest batch that is done: chunks in order of batch time.

        Args:
            tell_read: told how many files were read, and how many there are.

        Raises:
            CorruptSegmentError: a file is damaged or missing.
        """
        return state_chunks(self.storage, self.history, tell_read)

    @property
    def size_bytes(self) -> int:
        """How much room journal and write-ahead log take."""
        return self.journal.size_bytes + self.blocks.size_bytes

    def close(self) -> None:
        """Let go of the logs, and then of the lock."""
        with ExitStack() as closing:
            closing.callback(self.lock.release)
            closing.callback(self.blocks.close)
            self.journal.close()


def state_chunks(
    storage: Storage, history: History, tell_read: Callable[[int, int], None] | None = None
) -> list[TableChunk]:
    """Read the state as of the newest batch that is done: chunks in order of batch time.

    Args:
        storage: where the files are.
        history: names them.
        tell_read: told how many files were read, and how many there are.

    Raises:
        CorruptSegmentError: a file is damaged or missing.
    """
    chunks: list[TableChunk] = []
    written = history.checkpoint
    files = () if written is None else written.files
    for read, name in enumerate(files, 1):
        chunks.extend(decode_chunk_file(_read(storage, name), f"{storage.place}/{name}"))
        if tell_read is not None:
            tell_read(read, len(files))
    chunks.extend(TableChunk(delta.table, delta.partition, delta.data) for delta in history.deltas)
    return chunks


def _read(storage: Storage, name: str) -> bytes:
    try:
        return storage.read(name)
    except FileNotFoundError as error:
        raise CorruptSegmentError(
            "A state file of the checkpoint is missing.",
            detail=f"{storage.place}/{name} is not there.",
            hint="Restore it from a copy, or start from a savepoint.",
        ) from error


def _newest_epoch(origin: Storage, savepoint: Savepoint) -> int:
    # Why not that of the savepoint alone: drivers that came after it have left larger ones in the sinks.
    history = LogJournal(open_log(origin, JOURNAL_FOLDER, read_only=True)).history
    return max(savepoint.written.epoch, history.epoch)


def _refuse_without_identity(storage: Storage) -> None:
    for folder in (JOURNAL_FOLDER, WAL_FOLDER):
        if storage.names(folder):
            raise IncompatibleCheckpointError(
                "The checkpoint has no identity, but a journal.",
                detail=f"{storage.place}/{IDENTITY_FILE} is missing, and {folder}/ is not empty.",
                hint="Restore the file from a copy, or give checkpoint= another place.",
            )


def _check(identity: Identity, name: str, storage: Storage) -> None:
    if identity.name != name:
        raise IncompatibleCheckpointError(
            "The checkpoint belongs to another program.",
            detail=f"{storage.place} was made by a program with name={identity.name!r}; this one has name={name!r}.",
            hint="Give the program the same name=, or checkpoint= a place of its own.",
        )
    check_hashing(identity, storage.place)
