"""Packed partition data: bytes that the driver holds and forwards without looking inside."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from millstream.encoding.rows import Frame, pack_frames, unpack_frames
from millstream.errors import ShippingError, shown
from millstream.ingest.encoded_rows import EncodedRows
from millstream.model.partition import Columns, rows_of
from millstream.state.rows import StateRows

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""Exact types that pickle without a memo, and as results go without packing."""

_PAIRS_VIEW: type = type({}.items())
_AS_THEY_ARE = frozenset({list, tuple, dict, range, Columns, EncodedRows})


Fetched: TypeAlias = tuple[Sequence[Frame], bool]
"""Frames, and whether they hold pairs as a dict."""

PackedForm: TypeAlias = tuple[Any, ...]
"""Records, pairs, number, and the frames."""


class Packed:
    """Partition data, or a piece of a shuffle, as bytes.

    It has the length of what is in it, and iterating it unpacks it, so it stands for rows wherever a program on
    the driver meets it; on its way between executors nothing is unpacked. A view of state stays with its
    executor, and its bytes are fetched only when somebody else asks for them.

    Args:
        frames: what `pack_frames` gave, or None while they are to be fetched.
        records: how many records.
        pairs: the frames hold a dict whose pairs are the records.
        fetch: gets the frames.

    Attributes:
        number: names the data for executors that hold it, or None.
        sent: whether it was sent to an executor before.

    Example:
        >>> packed = Packed.of([1, 2, 3])
        >>> len(packed), list(packed)
        (3, [1, 2, 3])
    """

    __slots__ = ("__weakref__", "_fetch", "_frames", "number", "pairs", "records", "sent")

    def __init__(
        self,
        frames: Sequence[Frame] | None,
        records: int,
        *,
        pairs: bool = False,
        fetch: Callable[[], Fetched] | None = None,
    ) -> None:
        self._frames = frames
        self._fetch = fetch
        self.records = records
        self.pairs = pairs
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
            return cls(_frames(dict(data)), len(data), pairs=True)
        if isinstance(data, StateRows):
            data = data.materialised()
        elif kind not in _AS_THEY_ARE:
            data = list(data)
        return cls(_frames(data), len(data))

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
            self._frames, self.pairs = self._fetch()
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
        data = unpack_frames(self.frames)
        return data.items() if self.pairs else data

    def __len__(self) -> int:
        return self.records

    def __iter__(self) -> Iterator[Any]:
        return iter(rows_of(self.unpack()))

    def form(self) -> PackedForm:
        """Give the data as it is sent; the bytes are not copied."""
        return (self.records, self.pairs, self.number, *map(pickle.PickleBuffer, self.frames))

    @classmethod
    def of_form(cls, form: PackedForm) -> Packed:
        """Make the data of what was received."""
        packed = cls(form[3:], form[0], pairs=form[1])
        packed.number = form[2]
        return packed


def _frames(data: Any) -> Sequence[Frame]:
    if type(data) is dict and ATOMS.issuperset(map(type, data)) and ATOMS.issuperset(map(type, data.values())):
        return (_unshared(data),)
    try:
        return pack_frames(data)
    except ShippingError as error:
        raise _refused(data, error) from error


def _unshared(data: dict[Any, Any]) -> bytes:
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
