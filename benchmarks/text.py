"""The text that benchmarks read: sources of the Python standard library, the same on every machine with that Python."""

from __future__ import annotations

import sysconfig
from pathlib import Path


def lines_of_standard_library(count: int) -> list[str]:
    """Give so many lines of text, from the standard library's sources, again from the start when they run out."""
    lines: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    repeated = lines * (count // len(lines) + 1)
    return [str(line.encode(), "utf-8") for line in repeated[:count]]
