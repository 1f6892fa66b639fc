"""What a run of a killed program was."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a run was.

    Attributes:
        seed: brings it back, as far as the operating system lets it.
        kills: of the driver.
        starts: of the program; one more than kills and orderly ends before the last.
        repeated: blocks that the sender had to send again.
        points: the last point that each life passed which was killed.
        planned: the points at which lives were to kill themselves, in their order.
        struck: those at which they did.
        divergences: where outputs are not what they have to be.
    """

    seed: int
    backend: str
    kills: int = 0
    worker_kills: int = 0
    broker_kills: int = 0
    starts: int = 0
    records: int = 0
    repeated: int = 0
    batches: int = 0
    points: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)
