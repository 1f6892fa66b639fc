"""The commands and their arguments.

Why argparse and not a framework: `millstream --help` has a budget of 0.3 s, and argparse loads in a fraction of the
time of the alternatives (docs/decisions/0004-argparse-for-the-command-line.md).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from millstream.cli.exit_status import ExitStatus
from millstream.demo.server_arguments import add_server_arguments, positive
from millstream.errors import InvalidError, MillstreamError

Perform = Callable[[argparse.Namespace], ExitStatus]

EXIT_STATUSES = "exit status: 0 done or cleanly stopped, 1 failed, 2 wrong usage, 130 stopped at once"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit status.

    Args:
        arguments: what follows the program's name; None: those of this process.
    """
    options = _parser().parse_args(arguments)
    perform: Perform = options.perform
    try:
        status = perform(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output has seen enough. What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ExitStatus.OK
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except MillstreamError as error:
        print(f"millstream: {error}", file=sys.stderr)
        return ExitStatus.USAGE if isinstance(error, InvalidError) else ExitStatus.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millstream", description="Micro-batch stream processing for Python.", epilog=EXIT_STATUSES
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_run(commands)
    _add_serve_text(commands)
    _add_checkpoint(commands)
    return parser


class _Version(argparse.Action):
    """Prints the version; looked up only when asked for, because that takes as long as all else."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> None:
        from importlib.metadata import version

        print(f"millstream {version('millstream')}")
        parser.exit()


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = (
        "Serve the text of this Python's library over a local socket and show the most frequent words in a sliding "
        "window. Ctrl-C stops it cleanly."
    )
    parser = commands.add_parser("demo", help="show a stream at work, with nothing to set up", description=about)
    _add_seconds(parser, "--interval", 1.0, "length of a batch (default: 1)")
    _add_seconds(parser, "--window", 60.0, "length of the window (default: 60)")
    _add_seconds(parser, "--slide", None, "time between windows (default: the interval)")
    _add_seconds(parser, "--seconds", None, "stop after so long (default: at Ctrl-C)")
    parser.add_argument(
        "--rate", type=positive, default=20_000.0, metavar="LINES", help="lines served a second (default: 20000)"
    )
    parser.add_argument("--top", type=_count, default=10, metavar="N", help="how many words to show (default: 10)")
    parser.add_argument(
        "--backend", choices=("threads", "processes"), default="threads", help="where Python functions run"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each window")
    parser.add_argument("--svg", type=Path, default=None, metavar="FILE", help="save the last view as a picture")
    parser.add_argument(
        "--kafka",
        metavar="SERVERS",
        help="have the text come by a topic of these brokers, and the counts go to another",
    )
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="keep here how far the stream is, and go on there; Kafka gets counts once"
    )
    parser.set_defaults(perform=_demo)


def _add_seconds(parser: argparse.ArgumentParser, flag: str, default: float | None, text: str) -> None:
    parser.add_argument(flag, type=positive, default=default, metavar="SECONDS", help=text)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "Run a Python program that starts a stream, as `python APP` does, and sum it up at the end."
    parser = commands.add_parser("run", help="run your program", description=about, epilog=EXIT_STATUSES)
    parser.add_argument("--live", action="store_true", help="show the batches as a table in the terminal")
    parser.add_argument("app", metavar="APP", type=Path, help="the program, a Python file")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="what the program is given")
    parser.set_defaults(perform=_run)


def _add_serve_text(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "Send lines of text, over and over, to every program that connects. Ctrl-C stops it."
    parser = commands.add_parser("serve-text", help="serve lines of text for socket_text_stream", description=about)
    add_server_arguments(parser)
    parser.set_defaults(perform=_serve_text)


def _add_checkpoint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "Look at the checkpoint of a program, pin it, or mend it. PATH is what the program has as checkpoint=."
    parser = commands.add_parser("checkpoint", help="look at a checkpoint, pin it or mend it", description=about)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, text: str, perform: Perform) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        action.add_argument("path", metavar="PATH", help="the checkpoint: a directory, or a URL of an object store")
        action.set_defaults(perform=perform)
        return action

    add("show", "say what the checkpoint holds", lambda o: _checkpoint().show(o.path))
    add("verify", "read every byte of it and say whether it is whole", lambda o: _checkpoint().verify(o.path))
    diff = add("diff", "say what a changed program does with its state", lambda o: _checkpoint().diff(o.path, o.app))
    diff.add_argument("app", metavar="APP", type=Path, help="the program, a Python file; it is not started")
    save = add("save", "pin the newest checkpoint under a name", lambda o: _checkpoint().save(o.path, o.name))
    save.add_argument("name", metavar="NAME", help="name of the savepoint")
    skip = add("skip", "give up the batch that waits", lambda o: _checkpoint().skip(o.path, o.batch, o.reason))
    skip.add_argument("--batch", type=_count, required=True, metavar="T", help="its batch time, as `show` gives it")
    skip.add_argument("--reason", default="skipped by hand", metavar="TEXT", help="kept with what the batch had read")
    add("prune", "remove files that nothing needs", lambda o: _checkpoint().tidy(o.path))


def _checkpoint() -> ModuleType:
    from millstream.cli import checkpoint_command

    return checkpoint_command


def _demo(options: argparse.Namespace) -> ExitStatus:
    from millstream.cli.demo_command import Demo

    return Demo(
        interval=options.interval,
        window=options.window,
        slide=options.interval if options.slide is None else options.slide,
        rate=options.rate,
        seconds=options.seconds,
        top=options.top,
        backend=options.backend,
        json=options.json,
        svg=options.svg,
        kafka=options.kafka,
        checkpoint=options.checkpoint,
    ).perform()


def _run(options: argparse.Namespace) -> ExitStatus:
    from millstream.cli.run_command import run

    return run(options.app, options.arguments, live=options.live)


def _serve_text(options: argparse.Namespace) -> ExitStatus:
    from millstream.cli.serve_text_command import serve_text

    return serve_text(options.paths, options.host, options.port, options.rate)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
