"""The core that every group of RDD methods builds on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from millstream.errors import ShippingError
from millstream.model.label import Label
from millstream.rdd.lineage import Lineage, Narrow
from millstream.rdd.operations import Operation
from millstream.rdd.runner import Runner

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

T_co = TypeVar("T_co", covariant=True)

_PACKAGE = "millstream"


class RDDCore(Generic[T_co]):
    """An RDD as lineage and the runner that computes it.

    Args:
        lineage: how the partitions come about.
        runner: what computes them when an action asks.
    """

    __slots__ = ("lineage", "runner")

    def __init__(self, lineage: Lineage, runner: Runner) -> None:
        self.lineage = lineage
        self.runner = runner

    def derive(self, lineage: Lineage) -> RDD[Any]:
        """Make the RDD of another lineage on the same runner."""
        from millstream.rdd.rdd import RDD

        return RDD(lineage, self.runner)

    def narrow(self, operation: Operation) -> RDD[Any]:
        """Make the RDD that runs one more operation."""
        return self.derive(Narrow(self.lineage, operation))

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "An RDD cannot be sent to an executor.",
            detail="A function that runs in tasks refers to an RDD, or an RDD is a record of another one.",
            hint="Join the two, or collect() the smaller one first and give it to the function by context.broadcast().",
        )


def label(operator: str, name: str | None = None) -> Label:
    """Label an operator with the place in the user's program that added it.

    Example:
        >>> label("map").operator
        'map'
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    return Label(operator, name, f"{frame.f_code.co_filename}:{frame.f_lineno}")
