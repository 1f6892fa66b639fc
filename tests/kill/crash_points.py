"""Points of a program at which it can kill itself, put around the engine's methods from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from millstream.blocks.block_log import BlockLog
from millstream.blocks.segment_log import SegmentLog
from millstream.control.batch_work import BatchWork
from millstream.control.durability import Durability
from millstream.control.receiver_work import ReceiverWork
from millstream.environment.local_storage import LocalAppendFile, LocalStorage
from millstream.graph.outputs import Output
from millstream.recovery.checkpoint_writer import CheckpointWriter
from millstream.recovery.log_journal import LogJournal
from millstream.sinks.local_sink_directory import LocalSinkDirectory

Label = Callable[..., str | None]

PLACES = {
    "recovery": ("take over", "journal DriverStarted", "journal SinksOpened", "open log"),
    "batch": (
        "store block",
        "journal BatchPlanned",
        "stage recent",
        "stage steps",
        "journal BatchPrepared",
        "commit raw",
        "commit recent",
        "commit steps",
        "commit totals",
        "commit ids",
        "publish manifest",
        "note BatchDone",
        "finish",
    ),
    "checkpoint": ("create state", "journal CheckpointWritten", "release journal", "release wal", "remove"),
    "stop": ("stop receivers", "last checkpoint", "close"),
}
"""Where a program can be killed, before or after each, by what it is busy with."""


@dataclass
class CrashPoints:
    """Tells of every point that is passed, and kills the process at one of them.

    Args:
        tell: is told the name of each point.
        crash: the point to crash at, or None.
        count: at its how-manieth passage, from 1.
    """

    tell: Callable[[str], None]
    crash: str | None = None
    count: int = 1

    def passed(self, point: str) -> None:
        self.tell(point)
        if self.is_due(point):
            os.kill(os.getpid(), signal.SIGKILL)

    def is_due(self, point: str) -> bool:
        if point == self.crash:
            self.count -= 1
        return point == self.crash and self.count == 0

    def around(self, owner: type, method: str, label: Label) -> None:
        """Have every call of a method pass a point before it and one after it."""
        original = getattr(owner, method)

        def call(*args: Any, **options: Any) -> Any:
            name = label(*args)
            if name is None:
                return original(*args, **options)
            self.passed(f"before {name}")
            result = original(*args, **options)
            self.passed(f"after {name}")
            return result

        setattr(owner, method, call)

    def install(self) -> None:
        """Put the points around the steps of a batch, of recovery, of checkpoints and of a stop."""
        around = self.around
        around(LogJournal, "append", lambda journal, *decisions: f"journal {type(decisions[-1]).__name__}")
        around(LogJournal, "note", lambda journal, decision: f"note {type(decision).__name__}")
        around(BlockLog, "store", lambda *args: "store block")
        around(BatchWork, "commit", lambda work, time_ms, name: f"commit {name}")
        around(BatchWork, "finish", lambda *args: "finish")
        around(BatchWork, "close", lambda *args: "close")
        for output in Output.__subclasses__():
            if "stage" in vars(output):
                around(output, "stage", lambda output, run: f"stage {output.name}")
        around(
            LocalSinkDirectory, "publish", lambda place, name, data: None if "epochs" in name else "publish manifest"
        )
        around(CheckpointWriter, "_create", lambda *args: "create state")
        around(CheckpointWriter, "write", lambda *args: "last checkpoint")
        around(SegmentLog, "release", lambda log, before: f"release {log._folder}")
        around(LocalStorage, "remove", lambda *args: "remove")
        around(SegmentLog, "__init__", lambda *args: "open log")
        around(Durability, "take_over", lambda *args: "take over")
        around(ReceiverWork, "begin_stop", lambda *args: "stop receivers")
        self._tear()

    def _tear(self) -> None:
        """Let a group of a log be written in half, for the point `torn journal` or `torn wal`."""
        original = LocalAppendFile.append

        def append(file: LocalAppendFile, pieces: Sequence[bytes | memoryview]) -> None:
            folder = os.path.basename(os.path.dirname(file._path))
            if self.is_due(f"torn {folder}"):
                group = b"".join(pieces)
                file.write([group[: len(group) // 2]])
                os.kill(os.getpid(), signal.SIGKILL)
            original(file, pieces)

        LocalAppendFile.append = append  # type: ignore[method-assign,assignment]
