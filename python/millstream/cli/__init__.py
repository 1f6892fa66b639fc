"""The command line: arguments come in; a running program, its figures in the terminal and an exit status go out."""

from millstream.cli.command_line import main

__all__ = ["main"]
