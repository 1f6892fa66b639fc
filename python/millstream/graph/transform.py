"""The operator that hands whole RDDs to a user's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from millstream.errors import ArgumentTypeError, MillstreamError, UserCodeError, shown
from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.graph.shuffle import same_slide_ms
from millstream.model.label import Label
from millstream.rdd.lineage import Held, Lineage
from millstream.rdd.rdd import RDD


class TransformNode(Node):
    """`f(rdds of the parents, batch)`, run once an attempt, on the driver, after the batch was planned.

    Args:
        f: takes the list of RDDs and the batch; gives an RDD, or None for nothing.
    """

    def __init__(self, parents: Sequence[Node], f: Callable[[list[RDD[Any]], Any], Any], label: Label) -> None:
        super().__init__(parents, same_slide_ms(parents, label), label)
        self.f = f

    def compute(self, run: BatchRun) -> Lineage | None:
        """Call the function on the RDDs of the parents; a parent that gives nothing is an empty RDD."""
        lineages = [run.lineage(parent) for parent in self.parents]
        rdds: list[RDD[Any]] = [RDD(Held([]) if lineage is None else lineage, run.runner) for lineage in lineages]
        try:
            result = self.f(rdds, run.batch)
        except MillstreamError:
            raise
        except Exception as error:
            raise UserCodeError(
                f"The function of {self.label.operator} raised {type(error).__name__}: {error}",
                operator=self.label.operator,
                site=self.label.site,
                batch_time_ms=run.time_ms,
                detail=f"{self.label.operator} was added at {self.label.site}.",
                hint="The traceback of the cause shows the line.",
            ) from error
        if result is None:
            return None
        if not isinstance(result, RDD):
            raise ArgumentTypeError(
                f"The function of {self.label.operator} must return an RDD or None.",
                detail=f"It returned {shown(result)}; {self.label.operator} was added at {self.label.site}.",
                hint="Return rdd.map(...) or another RDD; use foreach_rdd for work without a result.",
            )
        return result.lineage
