"""What the text server can be told on a command line."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the text server."""
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="text files or folders (default: Python's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9999, help="port to listen on; 0: any free one (default: 9999)")
    parser.add_argument(
        "--rate", type=positive, default=1_000.0, metavar="LINES", help="lines a second for each client (default: 1000)"
    )


def positive(text: str) -> float:
    """Read a number above zero.

    Raises:
        ArgumentTypeError: it is no such number; `argparse` tells the user.

    Example:
        >>> positive("2.5")
        2.5
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return number
