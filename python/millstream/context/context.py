"""The context of batch programs: where RDDs, broadcasts and accumulators come from."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from millstream.context.closed import ClosedBackend, closed
from millstream.context.stored_data import StoredDataMethods
from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError, ConfigurationError, ShippingError, shown
from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.model.accumulator import Accumulator
from millstream.model.broadcast import Broadcast
from millstream.model.partition import VALUE_COLUMN, Columns, PartitionData
from millstream.rdd.arguments import check_function, common_runner, whole_number
from millstream.rdd.lineage import Held, Lineage, Union, held_rows
from millstream.rdd.partitioner import partitions_checked
from millstream.rdd.rdd import RDD

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

T = TypeVar("T")

BACKENDS = ("threads", "processes")


class Context(StoredDataMethods):
    """Makes RDDs and runs their actions. Close it when done, or use it in a `with` statement.

    Args:
        backend: where tasks run. `threads`: in this process, nothing to start. `processes`: in worker processes, for
            Python functions that need many cores. Or a `Backend` of your own.
        workers: how many worker processes; None: one a core. Only for `processes`.
        partitions: how many partitions `parallelize`, `text_file` and shuffles give when nobody says, 1 to 1,024;
            None: as many as Python functions can run at once.
        environment: clock and chance; None: the machine's.

    Attributes:
        backend: where tasks run.
        environment: clock and chance.
        runner: runs the actions of the RDDs that come from here.

    Raises:
        ConfigurationError: an argument has a value that cannot work.

    Example:
        >>> import millstream as ms
        >>> with ms.Context() as context:
        ...     context.parallelize(["a", "b", "a"]).count_by_value()
        {'a': 2, 'b': 1}
    """

    def __init__(
        self,
        backend: str | Backend = "threads",
        *,
        workers: int | None = None,
        partitions: int | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.environment = environment_checked(environment) or Environment()
        count = None if partitions is None else partitions_checked(partitions, 1)
        self.backend: Backend = _backend(backend, workers)
        if count is not None:
            self.backend.default_partitions = count
        self.runner = Scheduler(self.backend, rng=self.environment.rng)

    @property
    def default_partitions(self) -> int:
        """How many partitions an RDD gets when nobody says."""
        return self.runner.default_partitions

    def parallelize(self, data: Iterable[T], partitions: int | None = None) -> RDD[T]:
        """Make an RDD of records that this program has.

        Args:
            data: the records, read once, now; neighbours stay neighbours.
            partitions: how many partitions, at least 1; None: the default of the context.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize("abcde", partitions=2).glom().collect()
            [['a', 'b'], ['c', 'd', 'e']]
        """
        if not isinstance(data, Iterable):
            raise ArgumentTypeError(
                "parallelize needs records.",
                detail=f"data={shown(data)} is of type {type(data).__name__}, which cannot be iterated.",
                hint="Give a list or another iterable of records.",
            )
        return self._rdd(held_rows(list(data), self._partitions(partitions, "parallelize")))

    def range(self, start: int, stop: int | None = None, step: int = 1, *, partitions: int | None = None) -> RDD[int]:
        """Make an RDD of the whole numbers that `range` gives; they are not held in memory.

        Args:
            start: the first number; with one argument it is the end, and numbers start at 0.
            stop: the end, which is not included.
            step: the distance, not 0.
            partitions: how many partitions, at least 1; None: the default of the context.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(1, 10, 3).collect()
            [1, 4, 7]
        """
        for argument, value in (("start", start), ("stop", stop), ("step", step)):
            if (value is None and argument != "stop") or (value is not None and not isinstance(value, int)):
                raise ArgumentTypeError(
                    "range needs whole numbers.", detail=f"{argument}={shown(value)}.", hint="Give ints."
                )
        if step == 0:
            raise ConfigurationError("range needs a step that is not 0.", detail="step=0.", hint="Give 1 or -1.")
        numbers = builtins.range(start, stop, step) if stop is not None else builtins.range(0, start, step)
        count = self._partitions(partitions, "range")
        return self._rdd(held_rows(numbers, count))

    def empty_rdd(self) -> RDD[Any]:
        """Make an RDD without records and without partitions.

        Example:
            >>> import millstream as ms
            >>> ms.Context().empty_rdd().collect()
            []
        """
        return self._rdd(Held([]))

    def union(self, rdds: Iterable[RDD[T]]) -> RDD[T]:
        """Put the partitions of several RDDs one behind the other.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.union([context.range(2), context.range(3)]).collect()
            [0, 1, 0, 1, 2]
        """
        parts = list(rdds)
        common_runner("union", [self.empty_rdd(), *parts])
        return parts[0].union(*parts[1:]) if parts else self._rdd(Union([]))

    def from_arrow(self, table: pa.Table, partitions: int | None = None) -> RDD[Any]:
        """Make an RDD of an Arrow table, which is not copied.

        Args:
            table: a `pyarrow.Table`. Records are dicts by column name; of a table whose only column is `value`, they
                are its values.
            partitions: how many partitions, at least 1; None: the default of the context.

        Example:
            >>> import millstream as ms, pyarrow as pa
            >>> ms.Context().from_arrow(pa.table({"a": [1, 2]})).map(lambda row: row["a"]).collect()
            [1, 2]
        """
        import pyarrow as pa

        if not isinstance(table, pa.Table):
            raise ArgumentTypeError(
                "from_arrow needs a pyarrow.Table.",
                detail=f"table={shown(table)} is of type {type(table).__name__}.",
                hint="Make one with pyarrow.table(...); for a Polars frame there is from_polars.",
            )
        count = self._partitions(partitions, "from_arrow")
        scalar = table.column_names == [VALUE_COLUMN]
        parts: list[PartitionData] = [
            Columns(table.slice(start, end - start), scalar=scalar) for start, end in _cuts(table.num_rows, count)
        ]
        return self._rdd(Held(parts))

    def from_polars(self, frame: pl.DataFrame, partitions: int | None = None) -> RDD[Any]:
        """Make an RDD of a Polars frame, by way of Arrow; see `from_arrow`.

        Example:
            >>> import millstream as ms, polars as pl
            >>> ms.Context().from_polars(pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})).first()
            {'a': 1, 'b': 'x'}
        """
        import polars as pl

        if not isinstance(frame, pl.DataFrame):
            raise ArgumentTypeError(
                "from_polars needs a polars.DataFrame.",
                detail=f"frame={shown(frame)} is of type {type(frame).__name__}.",
                hint="Call collect() on a LazyFrame first.",
            )
        return self.from_arrow(frame.to_arrow(), partitions)

    def broadcast(self, value: T) -> Broadcast[T]:
        """Give a value to functions that run in tasks; it goes to each executor once.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> names = context.broadcast({1: "one", 2: "two"})
            >>> context.parallelize([2, 1]).map(lambda x: names.value[x]).collect()
            ['two', 'one']
        """
        self.check_open()
        return Broadcast(value)

    def accumulator(self, initial: T, add: Callable[[T, T], T] = operator.add) -> Accumulator[T]:
        """Make a total that functions in tasks add to and that this program reads.

        Args:
            initial: where the total starts.
            add: takes two amounts and gives their sum; must be associative.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> total = context.accumulator(0)
            >>> context.range(5).foreach(total.add)
            >>> total.value
            10
        """
        self.check_open()
        check_function(add, "accumulator", "add")
        return Accumulator(initial, add)

    def close(self) -> None:
        """End the executors; actions of RDDs that came from here are refused from then on. Safe to call twice."""
        if not isinstance(self.backend, ClosedBackend):
            self.backend.close()
            self.backend = self.runner.backend = ClosedBackend(self.backend.default_partitions)

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "A Context cannot be sent to an executor.",
            detail="A function that runs in tasks refers to it.",
            hint="Take what the function needs out of it before; give tables to functions by context.broadcast().",
        )

    def __enter__(self) -> Self:
        self.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if isinstance(self.backend, ClosedBackend) else type(self.backend).__name__
        return f"<Context, {state}, {self.default_partitions} partitions by default>"

    def _rdd(self, lineage: Lineage) -> RDD[Any]:
        self.check_open()
        return RDD(lineage, self.runner)

    def check_open(self) -> None:
        """Refuse work after `close`.

        Raises:
            LifecycleError: the context is closed.
        """
        if isinstance(self.backend, ClosedBackend):
            raise closed()

    def _partitions(self, partitions: int | None, method: str) -> int:
        if partitions is None:
            return self.default_partitions
        return whole_number(partitions, method, "partitions", least=1)


def environment_checked(environment: Any) -> Environment | None:
    """Give an environment back, or None.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if environment is None or isinstance(environment, Environment):
        return environment
    raise ArgumentTypeError(
        "environment is no Environment.",
        detail=f"environment={shown(environment)} is of type {type(environment).__name__}.",
        hint="Give millstream.Environment(clock), such as Environment(ManualClock()).",
    )


def _backend(backend: str | Backend, workers: int | None) -> Backend:
    if workers is not None:
        whole_number(workers, "Context", "workers", least=1)
        if backend != "processes":
            raise ConfigurationError(
                "workers is only for backend='processes'.",
                detail=f"workers={workers} with backend={backend!r}.",
                hint="Leave it out: the threads backend runs tasks in this process.",
            )
    if isinstance(backend, Backend):
        return backend
    if backend == "threads":
        from millstream.execution.threads import ThreadsBackend

        return ThreadsBackend()
    if backend == "processes":
        from millstream.execution.processes import ProcessesBackend

        return ProcessesBackend(workers=workers)
    raise ConfigurationError(
        "There is no such backend.",
        detail=f"backend={shown(backend)}.",
        hint=f"Give one of {', '.join(map(repr, BACKENDS))}.",
    )


def _cuts(length: int, partitions: int) -> list[tuple[int, int]]:
    return [(length * p // partitions, length * (p + 1) // partitions) for p in builtins.range(partitions)]
