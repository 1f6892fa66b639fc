"""Stream methods that put bad records aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.refused import Refused
from millstream.rdd.operations import Filter, FlatMap, Map, Operation
from millstream.rdd.tries import ErrorTypes, Try, TryAll, is_taken, refused_of, tried
from millstream.stream.core import StreamCore, T_co, labelled

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

U = TypeVar("U")


class TryMethods(StreamCore[T_co]):
    """Methods that give two streams: what came of the good records, and the bad ones."""

    __slots__ = ()

    @overload
    def try_map(
        self, f: Callable[[T_co], U], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[U], DStream[Refused[T_co]]]: ...
    @overload
    def try_map(
        self, f: Callable[[T_co, Batch], U], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[U], DStream[Refused[T_co]]]: ...
    def try_map(
        self, f: Callable[..., Any], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[Any], DStream[Refused[T_co]]]:
        """Replace each record by `f(record)`, and put those aside for which it raises.

        The function is called once for each record, whichever of the two streams is used. `UnavailableError` is no
        error of a record: the batch fails, and is tried again.

        Args:
            f: gets the record, and the `Batch` when it requires a second argument.
            errors: class of exceptions, or a tuple of classes, by which a record is refused; others fail the batch.
            name: identity of the operator.

        Returns:
            The stream of results, and the stream of records that were refused, each a `millstream.Refused` with
            `record`, `error`, `operator` and `batch_time_ms`.

        Raises:
            ArgumentTypeError: an argument is of a type that cannot work.

        Example:
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, good, bad = ManualClock(), [], []
            >>> with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
            ...     numbers, refused = ssc.queue_stream([["1", "x", "3"]]).try_map(int)
            ...     numbers.collect_to(good)
            ...     refused.map(lambda letter: (letter.record, letter.error)).collect_to(bad)
            ...     ssc.start()
            ...     clock.advance(1.0)
            >>> good, bad
            ([[1, 3]], [[('x', "ValueError: invalid literal for int() with base 10: 'x'")]])
        """
        at = labelled("try_map", f, takes=1, batch=True, name=name)
        return self._two(Map(tried(Try, f, errors, at.name or at.operator), at), at)

    @overload
    def try_flat_map(
        self, f: Callable[[T_co], Iterable[U]], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[U], DStream[Refused[T_co]]]: ...
    @overload
    def try_flat_map(
        self, f: Callable[[T_co, Batch], Iterable[U]], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[U], DStream[Refused[T_co]]]: ...
    def try_flat_map(
        self, f: Callable[..., Iterable[Any]], *, errors: ErrorTypes = Exception, name: str | None = None
    ) -> tuple[DStream[Any], DStream[Refused[T_co]]]:
        """Replace each record by all the records of `f(record)`, and put those aside for which it raises.

        Where it raises in the middle, none of the records that it has given until then is in the results. All else
        is as for `try_map`.
        """
        at = labelled("try_flat_map", f, takes=1, batch=True, name=name)
        return self._two(FlatMap(tried(TryAll, f, errors, at.name or at.operator), at), at)

    def _two(self, operation: Operation, at: Label) -> tuple[DStream[Any], DStream[Refused[Any]]]:
        both = self.narrow(operation)
        parts = Label(at.operator, None, at.site)
        return both.narrow(Filter(is_taken, parts)), both.narrow(FlatMap(refused_of, parts))
