"""The terminal, if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def terminal(*, stderr: bool = False) -> Console | None:
    """Give the terminal behind standard output, or standard error; None where a live view cannot be drawn.

    Colours follow `NO_COLOR`; a pipe, a file and a terminal without cursor movements (`TERM=dumb`) give None.
    """
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal and not console.is_dumb_terminal else None


def draws_unicode(console: Console) -> bool:
    """Tell whether blocks and lines can be drawn."""
    return console.encoding.lower().startswith("utf")
