"""What one life of a program that is killed is started with, and what every such program does first."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import millstream as ms
from millstream.blocks.segment_log import SegmentLog
from tests.kill.archive import keep_released
from tests.kill.crash_points import CrashPoints

CHECKPOINT_INTERVAL_S = 0.15

SEGMENT_BYTES = 24_000
"""Small, so that files of the logs are filled and released in every life."""


@dataclass(frozen=True, kw_only=True)
class LifeSettings:
    """What one life of a program is started with.

    Attributes:
        folder: of the run.
        crash: the point at which it kills itself, or None.
        count: at its how-manieth passage.
    """

    folder: str
    backend: str = "threads"
    crash: str | None = None
    count: int = 1

    def encoded(self) -> str:
        return json.dumps(asdict(self))

    def crash_points(self) -> CrashPoints:
        """Put the crash points in; logs get short files, and keep what they release for the oracle."""
        _shorten_segments()
        keep_released(Path(self.folder) / "archive")
        points = CrashPoints(tell, self.crash, self.count)
        points.install()
        return points

    def streaming_context(self, interval_s: float, **options: Any) -> ms.StreamingContext:
        """Make a stream with a checkpoint in the folder of the run."""
        return ms.StreamingContext(
            interval_s,
            name="killed",
            backend=self.backend,
            workers=2 if self.backend == "processes" else None,
            partitions=2,
            checkpoint=Path(self.folder) / "checkpoint",
            checkpoint_interval=CHECKPOINT_INTERVAL_S,
            **options,
        )


def tell(point: str) -> None:
    """Say, in a line on standard output, that a point was passed."""
    os.write(1, f"{point}\n".encode())


def _shorten_segments() -> None:
    original = SegmentLog.__init__

    def init(log: SegmentLog, *args: Any, **options: Any) -> None:
        if not options.get("read_only"):
            options["segment_bytes"] = SEGMENT_BYTES
        original(log, *args, **options)

    # A program has no option for it: segments are large enough to be rare, and a run must see many come and go.
    SegmentLog.__init__ = init  # type: ignore[method-assign,assignment]
