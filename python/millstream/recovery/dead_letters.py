"""Dead letters: what is kept of batches that were given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millstream.encoding.codec import decode
from millstream.environment.storage import Storage
from millstream.errors import DataError
from millstream.recovery.decisions import BatchPlanned
from millstream.recovery.records import decision_from, fields_of
from millstream.recovery.value_file import encode_value_file, read_value_file

DEAD_LETTER_FOLDER = "dead_letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The inputs of a batch that was given up.

    Attributes:
        planned: what belonged to it: splits can be read again from their source.
        error: why it failed.
        encoded: the records of pushed inputs, which nobody else has: (input, encoded records) each. Why encoded: who
            looks at a checkpoint need not have the program's classes.
    """

    planned: BatchPlanned
    error: str
    encoded: tuple[tuple[str, bytes], ...] = ()

    @property
    def blocks(self) -> tuple[tuple[str, Any], ...]:
        """The records: (input, records) each.

        Raises:
            IncompatibleCheckpointError: a class of a record is not there.
        """
        return tuple((name, decode(data)) for name, data in self.encoded)


def keep_dead_letter(storage: Storage, letter: DeadLetter, limit: int) -> str:
    """Keep a dead letter; one of the same batch that is there already is the same.

    Args:
        storage: of the checkpoint.
        letter: what to keep.
        limit: how many may be kept.

    Returns:
        The name of the file.

    Raises:
        DataError: so many are kept already.
    """
    name = f"{letter.planned.time_ms}"
    kept = storage.names(DEAD_LETTER_FOLDER)
    if name not in kept and len(kept) >= limit:
        raise DataError(
            "Too many batches were given up.",
            detail=f"{storage.place}/{DEAD_LETTER_FOLDER} holds {len(kept)}, and dead_letter_limit={limit}.",
            hint="Look at them with `millstream checkpoint show`, mend the program, remove the files, and start again.",
        )
    data = encode_value_file(
        {
            "planned": fields_of(letter.planned),
            "error": letter.error,
            "blocks": [list(block) for block in letter.encoded],
        }
    )
    storage.create(f"{DEAD_LETTER_FOLDER}/{name}", data)
    return f"{DEAD_LETTER_FOLDER}/{name}"


def read_dead_letters(storage: Storage) -> Sequence[DeadLetter]:
    """Read all dead letters of a checkpoint, oldest first.

    Raises:
        CorruptSegmentError: one is damaged.
        IncompatibleCheckpointError: a newer version wrote one.
    """
    letters = [
        read_value_file(storage, f"{DEAD_LETTER_FOLDER}/{name}", "dead letter", _letter)
        for name in storage.names(DEAD_LETTER_FOLDER)
    ]
    return sorted(letters, key=lambda letter: letter.planned.time_ms)


def _letter(values: Mapping[str, Any]) -> DeadLetter:
    encoded = tuple((name, bytes(data)) for name, data in values["blocks"])
    return DeadLetter(decision_from(BatchPlanned, values["planned"]), values["error"], encoded)
