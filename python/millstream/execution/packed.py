"""Packed partition data: bytes that the driver holds and forwards without looking inside."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from millstream._core import unpack_pairs
from millstream.encoding.rows import Frame, pack_frames, unpack_frames
from millstream.errors import ShippingError, shown
from millstream.ingest.encoded_rows import EncodedRows
from millstream.model.partition import Columns, rows_of
from millstream.state.rows import StateRows

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""Exact types that pickle without a memo, and as results go without packing."""

_PAIRS_VIEW: type = type({}.items())
_AS_THEY_ARE = frozenset({list, tuple, dict, range, Columns, EncodedRows})


_AS_IT_IS, _PAIRS, _KEYS_AND_VALUES, _PACKED_BY_CORE = range(4)
"""What frames hold: the data; a dict whose pairs are the records; the keys of a dict and its values, a list each; the
same from the core."""

Fetched: TypeAlias = tuple[Sequence[Frame], int]
"""Frames, and what they hold."""

PackedForm: TypeAlias = tuple[Any, ...]
"""Records, what the frames hold, number, and the frames."""


class KeysAndValues:
    """The pairs of a piece in two lists: read once, that takes half the time of a dict.

    Example:
        >>> pairs = KeysAndValues(["a", "b"], [1, 2])
        >>> len(pairs), list(pairs), pairs.keys()
        (2, [('a', 1), ('b', 2)], ['a', 'b'])
    """

    __slots__ = ("_keys", "_values")

    def __init__(self, keys: list[Any], values: list[Any]) -> None:
        self._keys = keys
        self._values = values

    def keys(self) -> list[Any]:
        """Give the keys."""
        return self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return zip(self._keys, self._values, strict=True)


class Packed:
    """Partition data, or a piece of a shuffle, as bytes.

    It has the length of what is in it, and iterating it unpacks it, so it stands for rows wherever a program on
    the driver meets it; on its way between executors nothing is unpacked. A view of state stays with its
    executor, and its bytes are fetched only when somebody else asks for them.

    Args:
        frames: what `pack_frames` gave, or None while they are to be fetched.
        records: how many records.
        holds: what the frames hold.
        fetch: gets the frames.

    Attributes:
        number: names the data for executors that hold it, or None.
        sent: whether it was sent to an executor before.

    Example:
        >>> packed = Packed.of([1, 2, 3])
        >>> len(packed), list(packed)
        (3, [1, 2, 3])
    """

    __slots__ = ("__weakref__", "_fetch", "_frames", "holds", "number", "records", "sent")

    def __init__(
        self,
        frames: Sequence[Frame] | None,
        records: int,
        *,
        holds: int = _AS_IT_IS,
        fetch: Callable[[], Fetched] | None = None,
    ) -> None:
        self._frames = frames
        self._fetch = fetch
        self.records = records
        self.holds = holds
        self.number: int | None = None
        self.sent = False

    @classmethod
    def of(cls, data: Any) -> Packed:
        """Pack partition data or a piece.

        Raises:
            ShippingError: a record cannot be encoded; the error names it.
        """
        kind = type(data)
        if kind is _PAIRS_VIEW:
            return cls(_frames(dict(data)), len(data), holds=_PAIRS)
        if isinstance(data, StateRows):
            data = data.materialised()
        elif kind not in _AS_THEY_ARE:
            data = list(data)
        return cls(_frames(data), len(data))

    @classmethod
    def of_piece(cls, piece: Any) -> Packed:
        """Pack a piece of a shuffle; a dict may come back as `KeysAndValues`.

        Raises:
            ShippingError: a record cannot be encoded; the error names it.
        """
        if type(piece) is dict and _is_of_atoms(piece):
            lists = (list(piece), list(piece.values()))
            return cls((_unshared(lists),), len(piece), holds=_KEYS_AND_VALUES)
        return cls.of(piece)

    @classmethod
    def of_packed_pairs(cls, data: bytes, records: int) -> Packed:
        """Take a piece that the core has packed."""
        return cls((data,), records, holds=_PACKED_BY_CORE)

    @classmethod
    def of_result(cls, result: Any) -> Packed:
        """Pack the result of an action, whatever it is.

        Raises:
            ShippingError: it cannot be encoded; the error names the part.
        """
        return cls(_frames(result), 1)

    @property
    def is_fetched(self) -> bool:
        """True when the bytes are here."""
        return self._frames is not None

    @property
    def frames(self) -> Sequence[Frame]:
        """The bytes, fetched where they are not here yet."""
        if self._frames is None:
            assert self._fetch is not None
            self._frames, self.holds = self._fetch()
            self._fetch = None
        return self._frames

    @property
    def size_bytes(self) -> int:
        """How many bytes are here."""
        return 0 if self._frames is None else sum(map(len, self._frames))

    def lasting(self) -> Packed:
        """Give data that no later batch can change: itself, with the bytes here."""
        self._frames = self.frames
        return self

    def unpack(self) -> Any:
        """Give what was packed; a new object for every call."""
        if self.holds == _PACKED_BY_CORE:
            return KeysAndValues(*unpack_pairs(bytes(self.frames[0])))
        data = unpack_frames(self.frames)
        if self.holds == _AS_IT_IS:
            return data
        return data.items() if self.holds == _PAIRS else KeysAndValues(*data)

    def __len__(self) -> int:
        return self.records

    def __iter__(self) -> Iterator[Any]:
        return iter(rows_of(self.unpack()))

    def form(self) -> PackedForm:
        """Give the data as it is sent; the bytes are not copied."""
        return (self.records, self.holds, self.number, *map(pickle.PickleBuffer, self.frames))

    @classmethod
    def of_form(cls, form: PackedForm) -> Packed:
        """Make the data of what was received."""
        packed = cls(form[3:], form[0], holds=form[1])
        packed.number = form[2]
        return packed


def _frames(data: Any) -> Sequence[Frame]:
    if type(data) is dict and _is_of_atoms(data):
        return (_unshared(data),)
    try:
        return pack_frames(data)
    except ShippingError as error:
        raise _refused(data, error) from error


def _is_of_atoms(data: dict[Any, Any]) -> bool:
    return ATOMS.issuperset(map(type, data)) and ATOMS.issuperset(map(type, data.values()))


def _unshared(data: Any) -> bytes:
    # Atoms need no memo of what was written before: a dict of words and counts takes a third of the time to
    # write and half of it to read.
    file = io.BytesIO()
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(data)
    return file.getvalue()


def _refused(data: Any, error: ShippingError) -> ShippingError:
    """Name the first record that cannot be encoded."""
    if not isinstance(data, (list, tuple, dict)):
        return error
    for record in data.items() if isinstance(data, dict) else data:
        try:
            pack_frames(record)
        except ShippingError as inner:
            return ShippingError(
                f"A record of type {type(record).__name__} cannot be sent between processes.",
                detail=f"{inner.detail} The record is {shown(record)}.",
                hint="Give plain data, or use backend='threads', where records need not be sent.",
            )
    return error
