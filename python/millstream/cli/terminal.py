"""The terminal, if there is one."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

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


def replace_what_cannot_be_written(file: TextIO | None) -> None:
    """Have characters that an encoding does not know written as `?` instead of raising."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")


@contextmanager
def silent_control_keys() -> Iterator[None]:
    """Keep the terminal from showing `^C` when it is pressed: it would push a live view out of its place."""
    import termios

    try:
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
    except (OSError, ValueError, AttributeError, termios.error):  # Standard input is no terminal, or closed.
        yield
        return
    during = termios.tcgetattr(keyboard)
    during[3] &= ~termios.ECHOCTL
    termios.tcsetattr(keyboard, termios.TCSADRAIN, during)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
