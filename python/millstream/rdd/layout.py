"""RDD methods that change how records are laid out over partitions, and which of them there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from millstream.rdd.arguments import common_runner, whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import Distinct, RoundRobin
from millstream.rdd.lineage import Coalesced, Union
from millstream.rdd.partitioner import KeyGroups, partitions_checked
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

U = TypeVar("U")


class LayoutMethods(RDDCore[T_co]):
    """Methods that put partitions together and take them apart."""

    __slots__ = ()

    @property
    def num_partitions(self) -> int:
        """How many partitions the RDD has.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(10, partitions=3).num_partitions
            3
        """
        return self.lineage.partitions

    def union(self, *others: RDDCore[U]) -> RDD[T_co | U]:
        """Put the partitions of other RDDs behind those of this one; records that occur twice stay.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([1, 2]).union(context.parallelize([2, 3])).collect()
            [1, 2, 2, 3]
        """
        from millstream.rdd.rdd import RDD

        runner = common_runner("union", [self, *others])
        return RDD(Union([self.lineage, *(other.lineage for other in others)]), runner)

    def distinct(self, partitions: int | None = None) -> RDD[T_co]:
        """Keep each record once; inside a partition of the result they are in order of first appearance.

        Args:
            partitions: how many partitions the result has; None: the default of the context.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([3, 1, 3, 2, 1]).distinct().collect()
            [3, 1, 2]
        """
        spread = KeyGroups(partitions_checked(partitions, self.runner.default_partitions))
        return self.derive(shuffle([self.lineage], Distinct(spread, label("distinct"))))

    def coalesce(self, partitions: int) -> RDD[T_co]:
        """Put neighbouring partitions together, without a shuffle, until there are `partitions` of them.

        Args:
            partitions: at least 1; with as many as there are, or more, the RDD stays as it is.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(6, partitions=3).coalesce(2).glom().collect()
            [[0, 1], [2, 3, 4, 5]]
        """
        count = whole_number(partitions, "coalesce", "partitions", least=1)
        have = self.lineage.partitions
        if count >= have:
            return self.derive(self.lineage)
        groups = [range(i * have // count, (i + 1) * have // count) for i in range(count)]
        return self.derive(Coalesced(self.lineage, groups))

    def repartition(self, partitions: int) -> RDD[T_co]:
        """Deal the records out evenly over `partitions` partitions.

        All records move. To have fewer partitions, `coalesce` moves none.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(6).repartition(2).glom().collect()
            [[0, 2, 4], [1, 3, 5]]
        """
        count = whole_number(partitions, "repartition", "partitions", least=1)
        return self.derive(shuffle([self.lineage], RoundRobin(count, label("repartition"))))
