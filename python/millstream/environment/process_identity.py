"""Who a process is, so that another one can tell that it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping


def process_identity() -> dict[str, str]:
    """Give what tells this process from all others that ever had its number.

    Returns:
        `boot` (of the machine), `namespace` (of process numbers, one a container) and `started` (ticks since the
        boot); {} on systems that do not say (macOS).
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        started = _started("self")
        return {"boot": boot, "namespace": os.readlink("/proc/self/ns/pid"), "started": started or ""}
    except OSError:
        return {}


def has_ended(pid: int, identity: Mapping[str, str]) -> bool:
    """Tell whether a process is known to have ended; False where it cannot be known, such as one of another machine.

    Args:
        pid: its number.
        identity: what `process_identity` gave it.

    Example:
        >>> has_ended(os.getpid(), process_identity())
        False
    """
    mine = process_identity()
    if not mine or any(identity.get(key) != mine[key] for key in ("boot", "namespace")):
        return False
    try:
        return _started(str(pid)) != identity.get("started")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False


def _started(process: str) -> str | None:
    """Give the start time of a process; None of one that ended and whose parent has not asked for its status."""
    with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
        # The name of the program, in brackets, may hold spaces and brackets.
        fields = file.read().rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
