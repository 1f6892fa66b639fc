"""The port of file formats, and what they tell about a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from millstream.errors import ConfigurationError, DataError, shown
from millstream.model.partition import Partition

T = TypeVar("T")

OnMalformed: TypeAlias = Literal["fail", "skip", "replace"]
"""What happens to a record that cannot be understood; `replace` is for text alone."""


class MalformedFileError(DataError):
    """A file of which not even a part can be read: it is no such file, or was cut off."""


@dataclass(frozen=True, slots=True)
class FileRecords(Generic[T]):
    """What was read of a file.

    Attributes:
        partition: the records.
        invalid: how many were malformed, and were left out or repaired.
        first: where the first of them is, and what is wrong with it.
    """

    partition: Partition[T]
    invalid: int = 0
    first: str = ""


class FileFormat(ABC, Generic[T]):
    """A format of files. It is sent pickled to the executors, which call `read` and nothing else.

    Args:
        on_malformed: what happens to a record that cannot be understood: `fail`, or `skip`, which leaves it out and
            counts it; a file of which nothing can be understood is left out whole. `replace`, where a format knows
            it, repairs the record.

    Raises:
        ConfigurationError: the format does not know this policy.
    """

    name: ClassVar[str]
    """Names the format in errors and in the name of the source."""

    invalid_text: ClassVar[str] = "malformed records"
    """What `invalid` counts, for people."""

    policies: ClassVar[tuple[str, ...]] = ("fail", "skip")

    def __init__(self, on_malformed: OnMalformed = "fail") -> None:
        if on_malformed not in self.policies:
            raise ConfigurationError(
                f"on_malformed has a value that {self.name} files cannot have.",
                detail=f"on_malformed={shown(on_malformed)}.",
                hint=f"Give one of {', '.join(map(repr, self.policies))}.",
            )
        self.on_malformed = on_malformed

    @abstractmethod
    def read(self, path: str, content: bytes | None = None) -> FileRecords[T]:
        """Read a whole file. The same bytes always give the same records.

        Args:
            path: of the file, absolute; or the URL of an object.
            content: what is in the object, as it is stored; None: the file is on this machine.

        Raises:
            MalformedFileError: nothing of the file can be understood.
            DataError: a record cannot be understood, and the policy is `fail`; it names file and position.
            OSError: the file cannot be read.
        """

    def records(self, partition: Partition[T], path: str, invalid: int, first: str) -> FileRecords[T]:
        """Give what was read, or fail when something was malformed and the policy says so.

        Args:
            partition: the records that could be read.
            path: of the file.
            invalid: how many could not.
            first: where the first of these is, and what is wrong with it.
        """
        if invalid and self.on_malformed == "fail":
            raise self.malformed(path, first)
        return FileRecords(partition, invalid, first)

    @property
    def _a_file(self) -> str:
        return f"{'an' if self.name[0] in 'AEIO' else 'a'} {self.name} file"

    def malformed(self, path: str, first: str) -> DataError:
        """Make the error of a record that cannot be understood."""
        return DataError(
            f"A record of {self._a_file} is malformed.",
            detail=f"{path}, {first}",
            hint='Correct the file; or give on_malformed="skip" to go on without such records.',
        )

    def unreadable(self, path: str, problem: Any) -> MalformedFileError:
        """Make the error of a file of which nothing can be understood."""
        return MalformedFileError(
            f"A{self._a_file[1:]} cannot be read.",
            detail=f"{path}: {problem}",
            hint='Move whole files into the directory; or give on_malformed="skip" to leave out such files.',
        )
