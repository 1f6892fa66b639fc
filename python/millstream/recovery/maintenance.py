"""What a person does to a checkpoint: pin it, skip a batch of it, tidy it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from millstream.blocks.block_log import BlockLog
from millstream.blocks.opening import open_log
from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError, FencedError
from millstream.recovery.checkpoint import JOURNAL_FOLDER, STATE_FOLDER, WAL_FOLDER
from millstream.recovery.dead_letters import DeadLetter, keep_dead_letter
from millstream.recovery.decisions import BatchSkipped
from millstream.recovery.inspection import identity_at
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.savepoint import Savepoint, files_held, save


def pin(storage: Storage, name: str) -> Savepoint:
    """Make a savepoint of the newest checkpoint; a program may be running with it.

    Raises:
        ConfigurationError: there is no checkpoint yet, or the name is taken.
    """
    identity = identity_at(storage)
    written = LogJournal(open_log(storage, JOURNAL_FOLDER, read_only=True)).history.checkpoint
    if written is None:
        raise ConfigurationError(
            "There is nothing to pin yet.",
            detail=f"The program of {storage.place} has not written a checkpoint.",
            hint="Wait for checkpoint_interval=, or stop the program: it writes one at its end.",
        )
    savepoint = Savepoint(name, identity, written)
    save(storage, savepoint)
    return savepoint


def skip_batch(storage: Storage, time_ms: int, reason: str) -> BatchSkipped:
    """Give a batch up that was planned and not done, so that the next start goes on without it.

    What it had read is kept as a dead letter. A sink that has committed the batch all the same makes the next start
    say so.

    Args:
        storage: of the checkpoint; no program runs with it.
        time_ms: the batch time.
        reason: for people.

    Raises:
        FencedError: a program runs with the checkpoint.
        ConfigurationError: this is not the batch that waits.
    """
    with _journal(storage, "millstream checkpoint skip") as (journal, blocks):
        undone = journal.history.undone
        if undone is None or undone.time_ms != time_ms:
            waits = "no batch waits to be run again" if undone is None else f"the batch that waits is {undone.time_ms}"
            raise ConfigurationError(
                f"The batch {time_ms} cannot be skipped.",
                detail=f"In {storage.place} {waits}.",
                hint="`millstream checkpoint show` names the batch that waits; others are done and stay so.",
            )
        wanted = {number for plan in undone.inputs for number in plan.blocks}
        kept = tuple((stored.input, bytes(stored.data)) for stored in blocks.stored() if stored.number in wanted)
        letter = DeadLetter(undone, reason, kept)
        name = keep_dead_letter(storage, letter, limit=2**31)  # A person asked for this one: no limit holds it up.
        skipped = BatchSkipped(time_ms, reason, name)
        journal.append(skipped)
        return skipped


def prune(storage: Storage) -> list[str]:
    """Remove the state files that nothing needs any more, such as those of starts that were cut short.

    Returns:
        The files that were removed.

    Raises:
        FencedError: a program runs with the checkpoint.
    """
    with _journal(storage, "millstream checkpoint prune") as (journal, _):
        needed = {name for written in journal.history.checkpoints for name in written.files} | files_held(storage)
        present = [f"{STATE_FOLDER}/{name}" for name in storage.names(STATE_FOLDER)]
        removed = [name for name in present if name not in needed]
        for name in removed:
            storage.remove(name)
        return removed


@contextmanager
def _journal(storage: Storage, holder: str) -> Iterator[tuple[LogJournal, BlockLog]]:
    identity_at(storage)
    try:
        lock = storage.lock(holder)
    except FencedError as error:
        error.hint = "Stop the program first."
        raise
    try:
        journal = LogJournal(open_log(storage, JOURNAL_FOLDER, lock))
        try:
            yield journal, BlockLog(open_log(storage, WAL_FOLDER, read_only=True))
        finally:
            journal.close()
    finally:
        lock.release()
