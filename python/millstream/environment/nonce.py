"""Marks that nobody else makes."""

from __future__ import annotations

import os
from collections.abc import Callable

NONCE_BYTES = 16

Nonce = Callable[[], bytes]
"""Gives 16 bytes that no other call, in this process or another, has given or will give."""


def fresh_nonce() -> bytes:
    """Give 16 bytes by chance of the system.

    Why not by the seeded chance of the environment: two programs with one seed would take each other's for their own.
    """
    return os.urandom(NONCE_BYTES)
