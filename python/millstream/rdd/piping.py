"""RDD methods that have another program do the work."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.errors import ArgumentTypeError, ConfigurationError, UserCodeError, shown
from millstream.model.label import Label
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.failures import function_failed
from millstream.rdd.operations import MapPartitions

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

STDERR_TAIL_BYTES = 2_000
"""How much of what a failed command wrote to standard error is in the error: its end says why it failed."""


class PipeMethods(RDDCore[T_co]):
    """Methods that run commands."""

    __slots__ = ()

    def pipe(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        ok_statuses: Collection[int] = (0,),
    ) -> RDD[str]:
        r"""Replace each partition by the lines that a command makes of it.

        The command runs once for each partition, empty ones too, in the task. It reads the records of the partition
        from its standard input, a line each: `str(record)` in UTF-8, bytes as they are; a record with line ends in it
        is several lines. The lines of its standard output become the records; bytes that are not UTF-8 become U+FFFD.
        Input and output of a partition are held in memory. A task that is repeated runs the command again.

        Args:
            command: the program and its arguments, as a list, or as a text that is split like a shell does; no shell
                runs. For pipes and redirections give `["sh", "-c", "..."]`.
            env: environment variables, in addition to those of the task's process.
            ok_statuses: exit statuses that are no failure, such as 0 and 1 for `grep`, which ends with 1 when no line
                matched. A command that stops reading early does not fail for that.

        Raises:
            UserCodeError: from an action: the command cannot be started, or ended with another exit status or by a
                signal. The error has these and the end of what it wrote to standard error.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["b", "a"], partitions=1).pipe("sort -r").collect()
            ['b', 'a']
        """
        arguments = _arguments(command)
        if env is not None and not isinstance(env, Mapping):
            raise ArgumentTypeError(
                "pipe needs a mapping of environment variables.",
                detail=f"env={shown(env)} is of type {type(env).__name__}.",
                hint='Give a dict such as {"LC_ALL": "C"}.',
            )
        at = label("pipe")
        running = _Command(arguments, dict(env or {}), _statuses(ok_statuses), at)
        return self.narrow(MapPartitions(running, False, at))


@dataclass(frozen=True, slots=True)
class _Command:
    """Runs a command over the records of a partition."""

    arguments: list[str]
    env: dict[str, str]
    ok_statuses: frozenset[int]
    label: Label

    def __call__(self, records: Iterable[object]) -> list[str]:
        lines = b"".join(self._lines(records))
        try:
            done = subprocess.run(
                self.arguments, input=lines, capture_output=True, env={**os.environ, **self.env}, check=False
            )
        except (OSError, ValueError, TypeError) as error:
            raise self._failed(
                "cannot be started",
                f"{type(error).__name__}: {error}",
                "The command is looked for where tasks run: check that it is there, executable and on PATH.",
            ) from error
        if done.returncode not in self.ok_statuses:
            raise self._failed(
                _ended(done.returncode), _said(done.stderr), "Statuses that are no failure go into ok_statuses."
            )
        found = done.stdout.decode(errors="replace").split("\n")
        # What stands behind the last line end is a line only if something stands there.
        return found if found[-1] else found[:-1]

    def _lines(self, records: Iterable[object]) -> Iterator[bytes]:
        for record in records:
            try:
                yield (record if isinstance(record, bytes) else str(record).encode()) + b"\n"
            except Exception as error:
                raise function_failed(self.label, error, "writing", record) from error

    def _failed(self, happened: str, known: str, hint: str) -> UserCodeError:
        command = shlex.join(self.arguments)
        return UserCodeError(
            f"The command of {self.label.operator} {happened}.",
            operator=self.label.operator,
            site=self.label.site,
            detail=f"The command is {command!r}, at {self.label.site}. {known}",
            hint=hint,
        )


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by the signal {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by the signal {-status}"


def _said(stderr: bytes) -> str:
    tail = stderr[-STDERR_TAIL_BYTES:].decode(errors="replace").strip()
    if not tail:
        return "It wrote nothing to standard error."
    return f"Its standard error{' ended with' if len(stderr) > STDERR_TAIL_BYTES else ''}: {tail}"


def _statuses(statuses: object) -> frozenset[int]:
    if isinstance(statuses, Collection) and all(isinstance(status, int) for status in statuses):
        return frozenset(statuses)
    raise ArgumentTypeError(
        "pipe needs whole numbers as exit statuses that are no failure.",
        detail=f"ok_statuses={shown(statuses)} is of type {type(statuses).__name__}.",
        hint="Give a tuple such as (0, 1).",
    )


def _arguments(command: object) -> list[str]:
    if isinstance(command, str):
        try:
            arguments = shlex.split(command)
        except ValueError as error:
            raise ConfigurationError(
                "pipe cannot split this command into arguments.",
                detail=f"command={shown(command)}: {error}.",
                hint="Close the quotation, or give the program and its arguments as a list.",
            ) from error
    elif isinstance(command, Sequence) and not isinstance(command, bytes) and all(isinstance(a, str) for a in command):
        arguments = list(command)
    else:
        raise ArgumentTypeError(
            "pipe needs a command.",
            detail=f"command={shown(command)} is of type {type(command).__name__}.",
            hint='Give a text such as "sort -r" or a list such as ["sort", "-r"].',
        )
    if not arguments:
        raise ConfigurationError(
            "pipe needs a command.", detail=f"command={shown(command)} is empty.", hint='Give one such as "sort -r".'
        )
    return arguments
