"""What the benchmarks share: percentiles, printed rows, the line about the machine, and arguments."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value below which `share` of all values lie.

    Example:
        >>> percentile([3.0, 1.0, 2.0], 0.5)
        2.0
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    """Give the middle value."""
    return percentile(values, 0.5)


def tree_cpu_s(pid: int) -> float:
    """Give the CPU seconds of a process and of those that it started and that still run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = [
        child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return own + sum(map(tree_cpu_s, map(int, children)))


def machine() -> str:
    """Describe the machine in one line."""
    return f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}, {platform.system()}"


def report(name: str, rows: Mapping[str, object]) -> None:
    """Print a benchmark's figures for people, and with --json as one line for scripts."""
    if "--json" in sys.argv:
        print(json.dumps({"benchmark": name, "machine": machine(), **rows}))
        return
    print(f"{name} ({machine()})")
    for label, value in rows.items():
        print(f"  {label:<58} {value:.4g}" if isinstance(value, float) else f"  {label:<58} {value}")


def argument(name: str) -> str:
    """Read what is given as `--name=value` on the command line, or nothing."""
    start = f"--{name}="
    return next((given.removeprefix(start) for given in sys.argv[1:] if given.startswith(start)), "")


def option(name: str, default: float) -> float:
    """Read a number given as `--name=value` on the command line."""
    given = argument(name)
    return float(given) if given else default
