"""The RDD: what users hold."""

from __future__ import annotations

from millstream.rdd.actions import Actions
from millstream.rdd.async_methods import AsyncMethods
from millstream.rdd.checkpoints import CheckpointMethods
from millstream.rdd.cogroups import JoinMethods
from millstream.rdd.core import T_co
from millstream.rdd.exports import ExportMethods
from millstream.rdd.grouping import GroupMethods
from millstream.rdd.layout import LayoutMethods
from millstream.rdd.narrow import NarrowMethods
from millstream.rdd.numbers import NumberActions
from millstream.rdd.outline import headline, outline
from millstream.rdd.pair_actions import PairActions
from millstream.rdd.pairs import PairMethods
from millstream.rdd.persistence import PersistenceMethods
from millstream.rdd.piping import PipeMethods
from millstream.rdd.sampling import SamplingMethods
from millstream.rdd.set_operations import SetMethods
from millstream.rdd.sorting import SortMethods
from millstream.rdd.sorting_within import SortWithinMethods
from millstream.rdd.trees import TreeActions
from millstream.rdd.zipping import ZipMethods


class RDD(
    NarrowMethods[T_co],
    AsyncMethods[T_co],
    PairMethods[T_co],
    GroupMethods[T_co],
    JoinMethods[T_co],
    LayoutMethods[T_co],
    SortMethods[T_co],
    SortWithinMethods[T_co],
    PipeMethods[T_co],
    SetMethods[T_co],
    ZipMethods[T_co],
    SamplingMethods[T_co],
    PersistenceMethods[T_co],
    CheckpointMethods[T_co],
    Actions[T_co],
    PairActions[T_co],
    TreeActions[T_co],
    NumberActions[T_co],
    ExportMethods[T_co],
):
    """An immutable collection in partitions, described by its lineage and computed when an action asks.

    Made by a `Context` (`parallelize`, `range`, `text_file`, ...), by methods of other RDDs, and by streams, which
    hand one to `transform` and `foreach_rdd` for each batch. Methods check their arguments at the call; functions
    run in tasks, where an error of theirs is raised by the action as `UserCodeError`. Records may be shared, so
    functions must not change them.

    Methods on pairs want records that are tuples of two.

    Example:
        >>> import millstream as ms
        >>> from operator import add
        >>> lines = ms.Context().parallelize(["to be or", "not to be"])
        >>> lines.flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(add).collect()
        [('to', 2), ('be', 2), ('or', 1), ('not', 1)]
    """

    __slots__ = ()

    def to_debug_string(self) -> str:
        """Write how the RDD comes about, the last operation first; `+-` marks where another stage begins.

        Example:
            >>> import millstream as ms
            >>> print(ms.Context().range(3).map(str).to_debug_string())
            (1) map at ...
            (1) data at hand
        """
        return outline(self.lineage)

    def __repr__(self) -> str:
        return f"<RDD {headline(self.lineage)}>"
