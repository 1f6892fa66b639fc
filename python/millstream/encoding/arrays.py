"""NumPy's and Arrow's values as bytes. Neither library is loaded before a value asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from millstream._core import UnencodableError
from millstream.encoding import extensions as code

_Written = tuple[int, Callable[[Any], Any], int]


def array_form(kind: type) -> _Written | None:
    """Say how values of a class of NumPy or Arrow are written; None for other classes."""
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        return _numpy_form(kind)
    if library == "pyarrow":
        return _arrow_form(kind)
    return None


def _numpy_form(kind: type) -> _Written | None:
    import numpy as np

    if kind is np.ndarray:
        return code.NUMPY_ARRAY, _from_array, 0
    if issubclass(kind, np.generic) and not issubclass(kind, np.object_):
        return code.NUMPY_SCALAR, _from_scalar, 0
    return None


def _described(dtype: Any) -> Any:
    import numpy as np

    if dtype.hasobject:
        raise UnencodableError(f"is an array of {dtype}, whose elements are Python objects; keep a list instead")
    return np.lib.format.dtype_to_descr(dtype)


def _from_array(value: Any) -> Any:
    return _described(value.dtype), value.shape, value.tobytes()


def _from_scalar(value: Any) -> Any:
    # An empty text claims no room, and gives some.
    return _described(value.dtype), value.tobytes()[: value.dtype.itemsize]


def _dtype(description: Any) -> Any:
    import numpy as np

    if not isinstance(description, str | list | tuple):
        raise ValueError("the type of an array is missing")
    dtype = np.lib.format.descr_to_dtype(description)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return dtype


def to_numpy_array(content: Any) -> Any:
    """Make an array of its type, shape and bytes."""
    import numpy as np

    description, shape, data = content
    dtype = _dtype(description)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array has not the size of its shape")
    # A copy, because an array over bytes cannot be written to.
    return np.ndarray(shape, dtype, data).copy()


def to_numpy_scalar(content: Any) -> Any:
    """Make a scalar of its type and bytes."""
    import numpy as np

    description, data = content
    dtype = _dtype(description)
    if len(data) != dtype.itemsize:
        raise ValueError("a scalar has not the size of its type")
    return np.frombuffer(data, dtype)[0] if data else dtype.type()


def _arrow_form(kind: type) -> _Written | None:
    import pyarrow as pa

    if issubclass(kind, pa.Table):
        return code.ARROW_TABLE, _stream, 0
    if issubclass(kind, pa.RecordBatch):
        return code.ARROW_RECORD_BATCH, _stream, 0
    if issubclass(kind, pa.ChunkedArray):
        return code.ARROW_CHUNKED_ARRAY, lambda value: _stream(pa.table({"": value})), 0
    if issubclass(kind, pa.Array):
        return code.ARROW_ARRAY, _one_column, 0
    if issubclass(kind, pa.Scalar):
        return code.ARROW_SCALAR, lambda value: _one_column(pa.array([value], value.type)), 0
    return None


def _one_column(array: Any) -> bytes:
    import pyarrow as pa

    return _stream(pa.record_batch([array], [""]))


def _stream(data: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write(data)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def to_table(content: Any) -> Any:
    """Make a table of an Arrow stream."""
    import pyarrow as pa

    if type(content) is not bytes:
        raise ValueError("an Arrow stream is missing")
    table = pa.ipc.open_stream(content).read_all()
    # Offsets that point outside of a buffer would crash whoever reads the column.
    table.validate(full=True)
    return table


def to_record_batch(content: Any) -> Any:
    """Make a record batch of an Arrow stream."""
    import pyarrow as pa

    if type(content) is not bytes:
        raise ValueError("an Arrow stream is missing")
    batch = pa.ipc.open_stream(content).read_next_batch()
    batch.validate(full=True)
    return batch


READ: dict[int, Callable[[Any], Any]] = {
    code.NUMPY_ARRAY: to_numpy_array,
    code.NUMPY_SCALAR: to_numpy_scalar,
    code.ARROW_TABLE: to_table,
    code.ARROW_RECORD_BATCH: to_record_batch,
    code.ARROW_ARRAY: lambda content: to_record_batch(content).column(0),
    code.ARROW_CHUNKED_ARRAY: lambda content: to_table(content).column(0),
    code.ARROW_SCALAR: lambda content: to_record_batch(content).column(0)[0],
}
