"""Compiling again what the user has compiled before, without a second round of warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore warnings within; only for compiling, which takes moments."""
    # Why the lock: what is saved and restored belongs to the whole process.
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
