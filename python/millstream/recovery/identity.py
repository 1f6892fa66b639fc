"""The identity of a checkpoint: what is fixed for its life."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import msgspec

from millstream._core import HASH_VERSION, KEY_GROUPS
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError

FORMAT_VERSION = 1
"""The version of everything in a checkpoint; one that is newer than this cannot be read."""

IDENTITY_FILE = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the first start of a program fixed.

    Attributes:
        name: of the program.
        lineage_id: the identity of one unbroken history of the program.
        zero_time_ms: batch times are this plus multiples of the interval, milliseconds since the epoch.
        sink_lineage_id: the lineage under which sinks know the program; another one only when a program that began
            from a savepoint continues the sinks of the one before.
        format_version: of the checkpoint.
        key_groups: into how many groups keys are hashed.
        hash_version: of the stable hash by which they are.
    """

    name: str
    lineage_id: str
    zero_time_ms: int
    sink_lineage_id: str
    format_version: int = FORMAT_VERSION
    key_groups: int = KEY_GROUPS
    hash_version: int = HASH_VERSION

    def encode(self) -> bytes:
        """Give the content of the identity file: JSON, so that a person can read it."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2) + b"\n"


def read_identity(storage: Storage) -> Identity | None:
    """Read the identity of a checkpoint; None when there is none at this place.

    Raises:
        IncompatibleCheckpointError: a newer version wrote it.
        CorruptSegmentError: the file is damaged.
    """
    try:
        data = storage.read(IDENTITY_FILE)
    except FileNotFoundError:
        return None
    try:
        values = msgspec.json.decode(data)
        check_format(values["format_version"], storage.place)
        return Identity(**{field.name: values[field.name] for field in fields(Identity)})
    except (msgspec.DecodeError, TypeError, KeyError) as error:
        raise CorruptSegmentError(
            "The identity of the checkpoint cannot be read.",
            detail=f"{storage.place}/{IDENTITY_FILE}: {error}",
            hint="Restore the file from a copy, or start from a savepoint.",
        ) from error


def check_format(version: int, place: str, kind: str = "checkpoint") -> None:
    """Refuse what has a format that came after this version of millstream.

    Args:
        version: of what is stored.
        place: where that is.
        kind: what it is.

    Raises:
        IncompatibleCheckpointError: a newer version wrote it.
        TypeError: this is no version.
    """
    if version > FORMAT_VERSION:
        raise IncompatibleCheckpointError(
            f"The {kind} was written by a newer version of millstream.",
            detail=f"{place} has format {version}; this version reads up to {FORMAT_VERSION}.",
            hint=f"Use the version that wrote the {kind}, or a newer one.",
        )


def check_hashing(identity: Identity, place: str, kind: str = "checkpoint") -> None:
    """Refuse state that was spread over the key groups of another version: keys would not be found in it.

    Args:
        identity: of what is stored.
        place: where that is.
        kind: what it is.

    Raises:
        IncompatibleCheckpointError: number of key groups or hash version are not those of this version.
    """
    stored = identity.key_groups, identity.hash_version
    if stored != (KEY_GROUPS, HASH_VERSION):
        raise IncompatibleCheckpointError(
            f"In the {kind} keys are in other key groups than in this version of millstream.",
            detail=f"{place} has {stored[0]} key groups, hash version {stored[1]}; "
            f"this version has {KEY_GROUPS} key groups, hash version {HASH_VERSION}.",
            hint=f"Start the program with the version of millstream that wrote the {kind}.",
        )
