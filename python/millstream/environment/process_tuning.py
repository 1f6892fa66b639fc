"""What the engine changes in the process that it runs in, and puts back when it stops."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_INTERVAL_S = 0.0001
"""With the default of 5 ms, one other thread that is busy in Python makes a 2 ms tick 3 to 5 ms late."""

YOUNG_OBJECTS_MIN = 2_000
"""Tracked objects since the last collection that make one worth while; a young collection of so few takes 0.1 ms."""

OLD_GROWTH = 0.25
"""A full collection is due when the old generation grew by this share, as in CPython's own rule."""


class ProcessTuning:
    """Short switch interval, and garbage collected only in idle time.

    Reference counts free most objects at once; the collector is only for cycles. Running it between batches
    keeps its pauses out of the batches.
    """

    _lock = threading.Lock()
    _users = 0

    def __init__(self) -> None:
        self._applied = False
        self._old_objects = 0
        self._young_since_full = 0
        self._full_ms = 0.0

    def apply(self) -> None:
        """Tune the process; several running contexts share one tuning."""
        cls = ProcessTuning
        with cls._lock:
            self._applied = True
            cls._users += 1
            if cls._users > 1:
                return
            cls._switch_interval_s = sys.getswitchinterval()
            cls._collecting = gc.isenabled()
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            gc.collect()
            gc.freeze()
            gc.disable()

    def restore(self) -> None:
        """Put everything back; the last context to leave does it."""
        cls = ProcessTuning
        with cls._lock:
            if not self._applied:
                return
            self._applied = False
            cls._users -= 1
            if cls._users:
                return
            sys.setswitchinterval(cls._switch_interval_s)
            gc.unfreeze()
            if cls._collecting:
                gc.enable()

    def idle(self, for_ms: float) -> None:
        """Collect garbage in the idle time after a batch.

        Args:
            for_ms: how long nothing will be due, milliseconds.
        """
        if not self._applied:
            return
        young = gc.get_count()[0]
        if young < YOUNG_OBJECTS_MIN:
            return
        self._young_since_full += young
        if self._young_since_full > OLD_GROWTH * self._old_objects + 10 * YOUNG_OBJECTS_MIN:
            if self._full_ms * 1.5 < for_ms:
                began = time.perf_counter()
                gc.collect()
                self._full_ms = (time.perf_counter() - began) * 1000.0
            else:
                # What survived so long lives long; a full collection would not fit between two batches.
                gc.collect(1)
                gc.freeze()
            self._old_objects = self._young_since_full
            self._young_since_full = 0
            return
        gc.collect(1)

    _switch_interval_s = 0.005
    _collecting = True


@contextmanager
def collection_paused() -> Iterator[None]:
    """Leave garbage alone while many objects are made that all stay: collections in between would only count them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
