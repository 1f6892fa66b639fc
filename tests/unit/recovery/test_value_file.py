"""Savepoints and dead letters: whole, of this version, or an error that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millstream.encoding.codec import encode
from millstream.environment.local_storage import LocalStorage
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError
from millstream.recovery.dead_letters import DeadLetter, keep_dead_letter, read_dead_letters
from millstream.recovery.decisions import BatchPlanned, CheckpointWritten, InputPlan
from millstream.recovery.identity import Identity
from millstream.recovery.savepoint import Savepoint, read_savepoint, save
from millstream.recovery.value_file import encode_value_file

WRITTEN = CheckpointWritten(1_000, 0, (), 0, 1, {}, {}, {})
SAVEPOINT = Savepoint("one", Identity("app", "l", 0, "l"), WRITTEN)
LETTER = DeadLetter(BatchPlanned(2_000, 1_000, 2_000, (InputPlan("in", (1,)),)), "poison", (("in", encode([13])),))


def keep_savepoint(storage: Storage) -> str:
    save(storage, SAVEPOINT)
    return "savepoints/one"


def keep_letter(storage: Storage) -> str:
    return keep_dead_letter(storage, LETTER, 10)


Keep = Callable[[Storage], str]
Read = Callable[[Storage], Any]
KINDS: dict[str, tuple[Keep, Read, Any]] = {
    "savepoint": (keep_savepoint, lambda storage: read_savepoint(storage, "one"), SAVEPOINT),
    "dead letter": (keep_letter, lambda storage: list(read_dead_letters(storage)), [LETTER]),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Keep, Read, Any]:
    return KINDS[request.param]


def test_what_is_kept_is_read(tmp_path: Path, kind: tuple[Keep, Read, Any]) -> None:
    keep, read, kept = kind
    storage = LocalStorage(tmp_path)
    keep(storage)
    assert read(storage) == kept


def test_one_of_a_newer_version_is_refused_with_both_versions(tmp_path: Path, kind: tuple[Keep, Read, Any]) -> None:
    keep, read, _ = kind
    storage = LocalStorage(tmp_path)
    file = tmp_path / keep(storage)
    data = file.read_bytes()
    # What a newer version writes behind its number may be anything.
    file.write_bytes(data[:4] + (99).to_bytes(4, "little") + b"of the future")
    with pytest.raises(IncompatibleCheckpointError, match=rf"{file.name} has format 99; .* reads up to 1\."):
        read(storage)


def test_every_flipped_bit_is_found_and_the_file_named(tmp_path: Path, kind: tuple[Keep, Read, Any]) -> None:
    keep, read, _ = kind
    storage = LocalStorage(tmp_path)
    file = tmp_path / keep(storage)
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        # A flip in the version may make it a newer one.
        with pytest.raises(
            (CorruptSegmentError, IncompatibleCheckpointError) if 4 <= at < 8 else CorruptSegmentError
        ) as e:
            read(storage)
        assert str(file.relative_to(tmp_path)) in str(e.value)


@pytest.mark.parametrize("length", [0, 3, 11, 12, -1])
def test_one_that_was_cut_short_is_damaged(tmp_path: Path, length: int, kind: tuple[Keep, Read, Any]) -> None:
    keep, read, _ = kind
    storage = LocalStorage(tmp_path)
    file = tmp_path / keep(storage)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CorruptSegmentError, match=file.name):
        read(storage)


@pytest.mark.parametrize("value", [None, [], {}, {"identity": {}}, {"planned": {}, "blocks": [1]}])
def test_a_whole_file_of_something_else_is_damaged(tmp_path: Path, value: Any, kind: tuple[Keep, Read, Any]) -> None:
    keep, read, _ = kind
    storage = LocalStorage(tmp_path)
    file = tmp_path / keep(storage)
    file.write_bytes(encode_value_file(value))
    with pytest.raises(CorruptSegmentError, match=file.name):
        read(storage)
