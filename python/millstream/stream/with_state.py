"""The stream that `map_with_state` gives."""

from __future__ import annotations

from typing import Generic, TypeVar

from millstream.graph.state import SnapshotNode, StateNode
from millstream.stream.core import labelled
from millstream.stream.dstream import DStream

U_co = TypeVar("U_co", covariant=True)
K = TypeVar("K")
S = TypeVar("S")


class StreamWithState(DStream[U_co], Generic[U_co, K, S]):
    """Mapped records, and beside them the state that they changed."""

    __slots__ = ()

    def state_snapshots(self, *, name: str | None = None) -> DStream[tuple[K, S]]:
        """Give all (key, state) pairs after each batch.

        Example:
            >>> from millstream.testing import run_batches
            >>> def count(key, value, state):
            ...     state.update(state.get(0) + 1)
            >>> run_batches(lambda ssc, s: s.map_with_state(count).state_snapshots(), [[("a", 1)], [("b", 1)]])
            [[('a', 1)], [('a', 1), ('b', 1)]]
        """
        assert isinstance(self.node, StateNode)
        return self.add(SnapshotNode(self.node, labelled("state_snapshots", name=name)))
