"""Leaving a checkpoint for a new one that begins from a savepoint."""

from __future__ import annotations

from millstream.blocks.block_log import BlockLog
from millstream.blocks.opening import open_log
from millstream.recovery.checkpoint import JOURNAL_FOLDER, WAL_FOLDER
from millstream.recovery.identity import read_identity
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.savepoint import Savepoint, save
from millstream.testing.simulation.world import World

NAME = "end"


def begin_from_savepoint(world: World) -> None:
    """Pin where a program stands that has ended in order, and have the next one begin there with a new checkpoint.

    Where something is left that the savepoint would not have, such as a batch that is not in the last checkpoint
    because that could not be written, the program goes on with its old one: a savepoint is made of what is at rest.
    """
    storage = world.storage.copied()
    history = LogJournal(open_log(storage, JOURNAL_FOLDER, read_only=True)).history
    blocks = BlockLog(open_log(storage, WAL_FOLDER, read_only=True)).stored()
    written, identity = history.checkpoint, read_identity(storage)
    is_at_rest = written is not None and written.time_ms == history.planned_ms
    if identity is None or written is None or not is_at_rest:
        return
    if any(block.number not in history.blocks for block in blocks):
        return
    save(storage, Savepoint(NAME, identity, written))
    world.left.append(storage)
    world.origin = storage, NAME
    world.continues = world.rng.random() < 0.5
    world.storage = world.storage.renewed()
    world.note("begin", f"a new checkpoint begins from a savepoint at {written.time_ms}")
