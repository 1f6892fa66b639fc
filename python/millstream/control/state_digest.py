"""What a batch changed in the state, in numbers that a later run is compared with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from millstream.recovery.decisions import Digest, StateDelta


def state_digest(deltas: Sequence[StateDelta]) -> Digest | None:
    """Give a digest of what a batch changed in the state, or None when it changed nothing."""
    if not deltas:
        return None
    checksum = 0
    for delta in deltas:
        checksum = zlib.crc32(delta.data, checksum)
    return Digest(len(deltas), checksum)
