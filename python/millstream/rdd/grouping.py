"""RDD methods that bring records together by what a function gives for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from millstream.rdd.arguments import check_function
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import GroupByKey
from millstream.rdd.lineage import Narrow
from millstream.rdd.operations import KeyBy
from millstream.rdd.partitioner import KeyGroups, partitions_checked
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")


class GroupMethods(RDDCore[T_co]):
    """Methods that group records of any kind."""

    __slots__ = ()

    def group_by(self, f: Callable[[T_co], K], partitions: int | None = None) -> RDD[tuple[K, list[T_co]]]:
        """Put all records for which `f` gives equal keys into one list, in the order of the RDD.

        All records move and stay in memory; a sum or a count is far cheaper by `key_by` and `aggregate_by_key`.

        Args:
            f: gives the key of a record.
            partitions: how many partitions the result has, 1 to 1,024; None: the default of the context.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(5).group_by(lambda x: x % 2).collect_as_map()
            {0: [0, 2, 4], 1: [1, 3]}
        """
        check_function(f, "group_by")
        at = label("group_by")
        partitioner = KeyGroups(partitions_checked(partitions, self.runner.default_partitions))
        return self.derive(shuffle([Narrow(self.lineage, KeyBy(f, at))], GroupByKey(partitioner, at)))
