"""Arrow data between processes: what a slice shows is sent, not all that its buffers hold."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_SLACK = 1.25
"""Data is packed anew when its buffers hold more than this many times what it shows; a copy costs about as much
as sending a quarter of it."""


def reducers() -> dict[type, Any]:
    """Give the reducers of Arrow tables and record batches; empty while nobody has imported pyarrow."""
    if "pyarrow" not in sys.modules:
        return {}
    import pyarrow as pa

    return {pa.Table: _reduced, pa.RecordBatch: _reduced}


def _reduced(data: pa.Table | pa.RecordBatch) -> Any:
    # Why not always pyarrow's own way: it writes whole buffers, so ten rows of a million take eight megabytes.
    if data.get_total_buffer_size() <= _SLACK * data.nbytes + 1024:
        return data.__reduce_ex__(5)
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write(data)
    rebuild = _table if isinstance(data, pa.Table) else _record_batch
    return rebuild, (pickle.PickleBuffer(sink.getvalue()),)


def _table(data: Any) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(data).read_all()


def _record_batch(data: Any) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.ipc.open_stream(data).read_next_batch()
