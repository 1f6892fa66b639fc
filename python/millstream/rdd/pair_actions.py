"""RDD methods on (key, value) pairs that compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from millstream.model.label import Label
from millstream.rdd.actions import added_counts
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.failures import key_refused
from millstream.rdd.lineage import Narrow
from millstream.rdd.operations import Apply, Combine, CountValues, Keys
from millstream.rdd.partitioner import ByRange, key_of

K = TypeVar("K")
V = TypeVar("V")


class PairActions(RDDCore[T_co]):
    """Actions on pairs."""

    __slots__ = ()

    def collect_as_map(self: RDDCore[tuple[K, V]]) -> dict[K, V]:
        """Give all pairs as a dict; of several values of a key the last one stays.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)]).collect_as_map()
            {'a': 3, 'b': 2}
        """
        collected: dict[K, V] = {}
        for part in self.runner.run(self.lineage, Combine(None, _last, label("collect_as_map"))):
            collected.update(part)
        return collected

    def count_by_key(self: RDDCore[tuple[K, Any]]) -> dict[K, int]:
        """Count the pairs of each key.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)]).count_by_key()
            {'a': 2, 'b': 1}
        """
        at = label("count_by_key")
        return added_counts(self.runner.run(Narrow(self.lineage, Keys(at)), CountValues(at)))

    def lookup(self: RDDCore[tuple[K, V]], key: K) -> list[V]:
        """Give the values of one key.

        Only the partition of the key is looked at where the RDD is spread by key (see `partition_by`); else all are.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)]).lookup("a")
            [1, 3]
        """
        at = label("lookup")
        partitioner = self.lineage.partitioner
        chosen = None
        # The bounds of ranges may not be known before the RDD was computed.
        if partitioner is not None and not isinstance(partitioner, ByRange):
            try:
                chosen = [partitioner.partition_of(key)]
            except (TypeError, ValueError) as error:
                raise key_refused(at, error, key) from error
        parts = self.runner.run(self.lineage, Apply(_ValuesOf(key, at)), chosen)
        return [value for part in parts for value in part]


def _last(_: Any, value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class _ValuesOf:
    """Gives the values of a key."""

    key: Any
    label: Label

    def __call__(self, pairs: list[Any]) -> list[Any]:
        key = self.key
        return [pair[1] for pair in pairs if key_of(pair) == key]
