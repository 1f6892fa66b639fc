"""A log in which a test decides who waits while a group is being synced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from millstream.blocks.segment_log import SegmentLog
from millstream.testing.simulation.faults import Operation, Phase
from millstream.testing.simulation.storage import SimulatedStorage


class CrowdedLog(SegmentLog):
    """A log that tells when records with numbers up to `wait_for` have queued up."""

    def __init__(self, storage: SimulatedStorage, folder: str, *, wait_for: int) -> None:
        super().__init__(storage, folder)
        self._wait_for = wait_for
        self._crowded = threading.Event()

    def _enqueue(self, *arguments: Any, **options: Any) -> Any:
        run = super()._enqueue(*arguments, **options)
        if self.next_number >= self._wait_for:
            self._crowded.set()
        return run

    def crowd(
        self, storage: SimulatedStorage, threads: Sequence[threading.Thread], then: Callable[[], None] = lambda: None
    ) -> list[Operation]:
        """Start threads in the middle of the next sync and end it when they all wait; give the syncs as they come."""
        syncs: list[Operation] = []

        def hook(operation: Operation, phase: Phase) -> None:
            if (operation.kind, phase) == ("sync", "before"):
                syncs.append(operation)
                if len(syncs) == 1:
                    for thread in threads:
                        thread.start()
                    assert self._crowded.wait(60)
                    then()

        storage.faults.hook = hook
        return syncs
