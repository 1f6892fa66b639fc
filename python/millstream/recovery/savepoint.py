"""Savepoints: checkpoints that a person pinned under a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError, CorruptSegmentError, shown
from millstream.recovery.decisions import CheckpointWritten
from millstream.recovery.identity import Identity, check_hashing
from millstream.recovery.records import decision_from, fields_of
from millstream.recovery.value_file import encode_value_file, read_value_file

SAVEPOINT_FOLDER = "savepoints"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A checkpoint under a name; its files stay until the savepoint is removed.

    Attributes:
        name: 1 to 100 letters, digits, dots, dashes and underscores.
        identity: of the checkpoint that it was made in.
        written: the checkpoint that it pins.
    """

    name: str
    identity: Identity
    written: CheckpointWritten

    def check_hashing(self, storage: Storage) -> None:
        """Refuse a savepoint that a program of this version cannot begin with.

        Args:
            storage: where it is.

        Raises:
            IncompatibleCheckpointError: keys are in other key groups there.
        """
        check_hashing(self.identity, f"{storage.place}/{_file(self.name)}", "savepoint")


def save(storage: Storage, savepoint: Savepoint) -> None:
    """Make a savepoint.

    Raises:
        ConfigurationError: the name cannot be one, or is taken.
        CorruptSegmentError: a file that it needs is gone.
    """
    data = encode_value_file({"identity": asdict(savepoint.identity), "written": fields_of(savepoint.written)})
    if not storage.create(_file(savepoint.name), data):
        raise ConfigurationError(
            f"There is a savepoint named {savepoint.name!r} already.",
            detail=f"In {storage.place}.",
            hint="Give another name, or remove the old one.",
        )
    # Why after: from now on the driver keeps the files; one that it removed before would be missed at a start.
    for name in savepoint.written.files:
        try:
            storage.size_bytes(name)
        except FileNotFoundError as error:
            storage.remove(_file(savepoint.name))
            raise CorruptSegmentError(
                "The checkpoint moved on while the savepoint was made.",
                detail=f"{storage.place}/{name} is gone.",
                hint="Make the savepoint again.",
            ) from error


def read_savepoint(storage: Storage, name: str) -> Savepoint:
    """Read a savepoint.

    Raises:
        ConfigurationError: there is none of this name.
        CorruptSegmentError: it is damaged.
        IncompatibleCheckpointError: a newer version wrote it.
    """
    try:
        return read_value_file(storage, _file(name), "savepoint", lambda values: _savepoint(name, values))
    except FileNotFoundError as error:
        names = ", ".join(savepoint_names(storage)) or "none"
        raise ConfigurationError(
            f"There is no savepoint named {name!r}.",
            detail=f"In {storage.place} there are: {names}.",
            hint="Give the name of one of these; `millstream checkpoint save` makes one.",
        ) from error


def _savepoint(name: str, values: Mapping[str, Any]) -> Savepoint:
    return Savepoint(name, Identity(**values["identity"]), decision_from(CheckpointWritten, values["written"]))


def savepoint_names(storage: Storage) -> list[str]:
    """List the savepoints of a checkpoint."""
    return storage.names(SAVEPOINT_FOLDER)


def files_held(storage: Storage) -> set[str]:
    """Give the files that savepoints need."""
    return {file for name in savepoint_names(storage) for file in read_savepoint(storage, name).written.files}


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "A savepoint cannot have this name.",
            detail=f"name={shown(name)}.",
            hint="Give 1 to 100 letters, digits, dots, dashes and underscores, beginning with a letter or a digit.",
        )
    return f"{SAVEPOINT_FOLDER}/{name}"
