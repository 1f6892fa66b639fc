"""Stream methods that join with what is no stream: a value that is loaded now and then, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.graph.transform import TransformNode
from millstream.model.batch import Batch
from millstream.model.broadcast import Broadcast
from millstream.model.choices import one_of
from millstream.model.label import Label
from millstream.rdd.lineage import Held
from millstream.rdd.operations import ApplyPartition, MapPartitions
from millstream.rdd.pair_side import PairJoin, PairSide
from millstream.rdd.rdd import RDD
from millstream.rdd.table_side import How, TableJoin, TableSide, joined_on
from millstream.stream.core import StreamCore, T_co, labelled
from millstream.stream.refreshed import Refreshed

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream


class StaticJoinMethods(StreamCore[T_co]):
    """Methods that join with a table."""

    __slots__ = ()

    def join_table(
        self,
        table: Any,
        on: str | Sequence[str] | Mapping[str, str],
        *,
        how: How = "inner",
        suffix: str | None = None,
        name: str | None = None,
    ) -> DStream[dict[str, Any]]:
        """Add to each record the columns of the rows of a table that have its key.

        Records are dicts. Where they are columns, as from files and Kafka, they stay columns and no Python object is
        made; the result is computed with the batch, even if no output asks for it. The table is at every executor,
        and is indexed once when its keys are one column of whole numbers or of text and no key comes twice; other
        tables are joined by Polars, which takes time for the whole table in each partition.

        Args:
            table: an Arrow table, a frame of Polars or pandas, a list of dicts; or `ssc.refreshed(load, every=n)`,
                which loads one, and again every n batches.
            on: the column, or columns, that both have; or a dict, of the records' names with those of the table.
            how: `inner` leaves out records without a row; `left` keeps them, with None.
            suffix: ends the names of the table's columns that the records have too; without it, they are an error.
            name: identity of the operator.

        Raises:
            ConfigurationError: an argument cannot work.
            ArgumentTypeError: the table is none.

        Example:
            >>> from millstream.testing import run_batches
            >>> prices = [{"id": "pen", "price": 2}]
            >>> sales = [[{"id": "pen", "n": 3}, {"id": "ink", "n": 1}]]
            >>> run_batches(lambda ssc, s: s.join_table(prices, on="id", how="left"), sales)
            [[{'id': 'pen', 'n': 3, 'price': 2}, {'id': 'ink', 'n': 1, 'price': None}]]
        """
        at = labelled("join_table", name=name)
        one_of("how", how, How)
        columns, key = joined_on(on), object()

        def end_of(value: Any) -> ApplyPartition:
            return ApplyPartition(TableJoin(Broadcast(TableSide(value, columns, at)), how, suffix, at))

        whole = None if isinstance(table, Refreshed) else end_of(table)

        def joined(rdds: list[RDD[Any]], batch: Batch) -> RDD[Any]:
            (rdd,) = rdds
            end = whole if whole is not None else table.derived(batch, key, end_of)
            return rdd.derive(Held(rdd.runner.run(rdd.lineage, end)))

        return self.add(TransformNode([self.node], joined, at))


def joined_with(stream: StreamCore[Any], side: Refreshed[Any], at: Label, *, keeps_all: bool) -> DStream[Any]:
    """Join pairs with a value that is loaded now and then: a mapping, pairs, or an RDD of pairs."""
    key = object()

    def operation_of(value: Any) -> MapPartitions:
        pairs = value.collect() if isinstance(value, RDD) else value
        return MapPartitions(PairJoin(Broadcast(PairSide(pairs, at)), keeps_all, at), False, at)

    def joined(rdds: list[RDD[Any]], batch: Batch) -> RDD[Any]:
        (rdd,) = rdds
        return rdd.narrow(side.derived(batch, key, operation_of))

    return stream.add(TransformNode([stream.node], joined, at))
