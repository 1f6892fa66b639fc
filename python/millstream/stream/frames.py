"""Stream methods that lead to frames of other libraries and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from millstream.errors import ArgumentTypeError, shown
from millstream.graph.transform import TransformNode
from millstream.model.choices import one_of
from millstream.model.partition import Columns
from millstream.rdd.exports import frame_of
from millstream.rdd.lineage import Held
from millstream.rdd.rdd import RDD
from millstream.stream.core import StreamCore, T_co, labelled

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from millstream.stream.dstream import DStream

FrameKind: TypeAlias = Literal["polars", "arrow", "pandas"]
"""Whose frames: `polars.DataFrame`, `pyarrow.Table`, `pandas.DataFrame`."""


class FrameMethods(StreamCore[T_co]):
    """Methods that lead to frames and back."""

    __slots__ = ()

    @overload
    def to_frames(
        self, kind: Literal["polars"] = "polars", *, schema: pa.Schema | None = None, name: str | None = None
    ) -> DStream[pl.DataFrame]: ...
    @overload
    def to_frames(
        self, kind: Literal["arrow"], *, schema: pa.Schema | None = None, name: str | None = None
    ) -> DStream[pa.Table]: ...
    @overload
    def to_frames(
        self, kind: Literal["pandas"], *, schema: pa.Schema | None = None, name: str | None = None
    ) -> DStream[pd.DataFrame]: ...
    def to_frames(
        self, kind: FrameKind = "polars", *, schema: pa.Schema | None = None, name: str | None = None
    ) -> DStream[Any]:
        """Make each batch one frame, which is the only record of the batch in the new stream.

        Records that are dicts become a column for each key, all others the column `value`. Records that are in
        columns stay so. `from_frames` leads back; `foreach_rdd(lambda rdd: f(rdd.first()))` hands the frame of a
        batch to a function, and with SQL of DuckDB over it any query. The frame is made on the driver.

        Args:
            kind: `polars`, `arrow` or `pandas`, which is not installed with millstream.
            schema: the columns of every frame, in this order, and their types; None: those that the batch has, which
                in an empty batch are none.
            name: identity of the operator.

        Raises:
            ConfigurationError: nobody knows the kind, or its library is not installed.

        Example:
            >>> import polars as pl
            >>> from millstream.testing import run_batches
            >>> def totals(frame):
            ...     return frame.group_by("shop").agg(pl.col("n").sum()).sort("shop")
            >>> sales = [[{"shop": "b", "n": 1}, {"shop": "a", "n": 2}, {"shop": "b", "n": 3}]]
            >>> run_batches(lambda ssc, s: s.to_frames().map(totals).from_frames(), sales)
            [[{'shop': 'a', 'n': 2}, {'shop': 'b', 'n': 4}]]
        """
        at = labelled("to_frames", name=name)
        one_of("kind", kind, FrameKind)
        frame_of(kind, None)

        def framed(rdds: list[RDD[Any]], _batch: Any) -> RDD[Any]:
            (rdd,) = rdds
            return rdd.derive(Held([[frame_of(kind, _as_schema(rdd.to_arrow(), schema))]]))

        return self.add(TransformNode([self.node], framed, at))

    def from_frames(self, *, name: str | None = None) -> DStream[dict[str, Any]]:
        """Make the rows of frames records again: dicts, in columns until a Python function asks for them.

        Records are frames of Polars (lazy ones too) or pandas, or Arrow tables.

        Raises:
            ArgumentTypeError: a record is no frame.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.to_frames("arrow").from_frames(), [[{"a": 1}, {"a": 2}], []])
            [[{'a': 1}, {'a': 2}], []]
        """
        at = labelled("from_frames", name=name)

        def unframed(rdds: list[RDD[Any]], _batch: Any) -> RDD[Any]:
            (rdd,) = rdds
            tables = [_as_table(frame) for frame in rdd.collect()]
            return rdd.derive(Held([Columns(table, scalar=False) for table in tables if table.num_columns]))

        return self.add(TransformNode([self.node], unframed, at))


def _as_schema(table: pa.Table, schema: pa.Schema | None) -> pa.Table:
    if schema is None:
        return table
    import pyarrow as pa

    columns = [
        table.column(field.name) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    try:
        return pa.table(columns, names=schema.names).cast(schema)
    except pa.ArrowException as error:
        raise ArgumentTypeError(
            "A batch does not have the types that to_frames was given.",
            detail=f"{type(error).__name__}: {error}",
            hint="Map the records to these types first, or give other types in schema=.",
        ) from error


def _as_table(frame: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "collect_schema") and hasattr(frame, "collect"):
        frame = frame.collect()
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise ArgumentTypeError(
        "from_frames was given a record that is no frame.",
        detail=f"{shown(frame)} is of type {type(frame).__name__}.",
        hint="Give frames of Polars or pandas, or Arrow tables, such as those of to_frames().",
    )
