"""Rows and state deltas as bytes, for processes on this machine.

The bytes are pickle's, so they go only between processes of one run that trust each other; what a checkpoint
holds has a format of its own.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cloudpickle

from millstream.encoding import arrow_tables
from millstream.encoding.by_value import PROTOCOL, ByValuePickler, any_class_sent
from millstream.encoding.unshippable import unshippable_part
from millstream.errors import ShippingError

Frame: TypeAlias = bytes | memoryview
"""One piece of a message; a memoryview shares the memory of the value that was packed."""

OUT_OF_BAND_BYTES_MIN = 4096
"""Buffers below this size stay inside the pickle: a frame of its own costs about as much as copying 4 KiB."""

_Callback: TypeAlias = Callable[[pickle.PickleBuffer], object] | None


def pack(value: object) -> bytes:
    """Encode any value for another process of this run.

    Builtin types and instances of importable classes take plain pickle's time; functions and classes of
    `__main__` and local ones go by value. Sliced Arrow data is sent without the rest of its buffers.

    Args:
        value: rows, a delta, a message.

    Returns:
        Bytes for `unpack`.

    Raises:
        ShippingError: a part of the value cannot be encoded; the error names it.

    Example:
        >>> unpack(pack([("a", 1)]))
        [('a', 1)]
    """
    return _packed(value, None)


def pack_frames(value: object, *, out_of_band_bytes_min: int = OUT_OF_BAND_BYTES_MIN) -> list[Frame]:
    """Encode any value, with the large buffers of Arrow and numpy data beside it, uncopied.

    Args:
        value: rows, a delta, a message. Its buffers must not change until the frames are sent.
        out_of_band_bytes_min: buffers of at least this many bytes become frames.

    Returns:
        Frames for `unpack_frames`: the pickle first, then the buffers in order.

    Raises:
        ShippingError: a part of the value cannot be encoded; the error names it.

    Example:
        >>> import numpy as np
        >>> frames = pack_frames({"a": np.zeros(10_000)})
        >>> [len(frame) > 1000 for frame in frames], int(unpack_frames(frames)["a"].sum())
        ([False, True], 0)
    """
    buffers: list[Frame] = []

    def taken_out(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # Not contiguous, so it cannot be a frame.
            return True
        if raw.nbytes < out_of_band_bytes_min:
            return True
        buffers.append(raw)
        return False

    return [_packed(value, taken_out, buffers), *buffers]


def unpack(data: Frame) -> Any:
    """Decode what `pack` gave.

    Raises:
        ShippingError: this process cannot import what the value needs.
    """
    return unpack_frames((data,))


def unpack_frames(frames: Sequence[Frame]) -> Any:
    """Decode what `pack_frames` gave; arrays share the memory of their frames.

    Raises:
        ShippingError: this process cannot import what the value needs.
    """
    try:
        return pickle.loads(frames[0], buffers=frames[1:])
    except (ImportError, AttributeError) as error:
        raise ShippingError(
            "A value from another process cannot be made here.",
            detail=f"{type(error).__name__}: {error}",
            hint="Put the module that it needs where every worker finds it, such as an installed package.",
        ) from error


def _packed(value: object, callback: _Callback, buffers: list[Frame] | None = None) -> bytes:
    # Rows of a program that has classes of its own are likely to hold them again: the plain attempt is spared.
    if not any_class_sent():
        data = _plain_where_enough(value, callback)
        if data is not None:
            return data
        if buffers is not None:
            buffers.clear()
    try:
        return _by_value(value, callback)
    except Exception as error:
        part = unshippable_part(value, lambda inner: _by_value(inner, None))
        raise ShippingError(
            "A value cannot be sent to another process.",
            detail=f"{part} cannot be encoded: {type(error).__name__}: {error}",
            hint="Send plain data, and make connections, locks and files where they are used.",
        ) from error


def _plain_where_enough(value: object, callback: _Callback) -> bytes | None:
    try:
        data = _plain(value, callback)
    except Exception:  # Why not narrower: what plain pickle refuses may still go by value.
        return None
    # Plain pickle writes a class of __main__ by its name, which the receiver has not got.
    if b"__main__" in data or any(name.encode() in data for name in _registered()):
        return None
    return data


def _registered() -> set[str]:
    names: set[str] = cloudpickle.list_registry_pickle_by_value()
    return names


def _plain(value: object, callback: _Callback) -> bytes:
    if "pyarrow" not in sys.modules:
        return pickle.dumps(value, PROTOCOL, buffer_callback=callback)
    file = io.BytesIO()
    pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=callback)
    pickler.dispatch_table = {**copyreg.dispatch_table, **arrow_tables.reducers()}
    pickler.dump(value)
    return file.getvalue()


def _by_value(value: object, callback: _Callback) -> bytes:
    file = io.BytesIO()
    ByValuePickler(file, callback).dump(value)
    return file.getvalue()
