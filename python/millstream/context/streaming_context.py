"""The streaming context: where a streaming program is put together, started and stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar

from millstream.context.checkpointing import OnFailure, checkpoint_settings
from millstream.context.context import Context, environment_checked
from millstream.context.rate_control import RateControllers, rate_controllers_checked
from millstream.context.refreshed_values import RefreshedValueMethods
from millstream.context.signals import stop_on_signals
from millstream.context.sources import SourceMethods
from millstream.control.recovery_policies import OnDivergence
from millstream.environment.environment import Environment
from millstream.environment.storage import Storage
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    InvalidError,
    LifecycleError,
    ShippingError,
    UserCodeError,
    shown,
)
from millstream.execution.backend import Backend
from millstream.graph.node import Node
from millstream.graph.transform import TransformNode
from millstream.graph.union import UnionNode
from millstream.model.arity import wants_batch
from millstream.model.durations import Duration, duration_ms
from millstream.model.html_table import html_table
from millstream.model.label import Label
from millstream.observe.event_bus import EventBus
from millstream.observe.listener import StreamingListener
from millstream.rdd.rdd import RDD
from millstream.recovery.matching import OnUnmatched
from millstream.stream.core import labelled, node_of
from millstream.stream.dstream import DStream
from millstream.stream.program import Program

if TYPE_CHECKING:
    from millstream.control.driver import Driver

T = TypeVar("T")
U = TypeVar("U")

State = Literal["initialized", "active", "stopped"]

DEFAULT_NAME = "main"


class StreamingContext(SourceMethods, RefreshedValueMethods):
    """A streaming program: streams are made from it, then it is started and runs until it is stopped.

    Nothing has to run beside it: the engine lives in this process. One context of a name can be active in a
    process at a time.

    Args:
        batch_interval: length of a batch, seconds (0.002 is fine) or timedelta.
        context: a `Context` to share, which has a backend already; None makes one, which is closed with this one.
        name: identity of the program, for the checkpoint, the UI and logs.
        backend: where executors live: `threads` (in this process, the default), `processes`, or a `Backend`.
        workers: how many worker processes; None: one a core.
        partitions: partitions of a shuffle when nobody says; None: as many as Python functions can run at once.
        environment: clock and chance; a `ManualClock` makes the stream run only when a test moves it.
        max_queued_batches: how many batch times may wait before the inputs are held.
        rate_controller: what limits inputs to what batches can process: `pid`, `none`, or a function that makes a
            `RateController` of an input's name, such as a class or
            `lambda name: ms.PidRateController(name, initial_rate=1_000)`.
        batch_retries: how often a batch is tried again after something outside did not answer.
        retry_pause: pause before the first retry, seconds or timedelta; it doubles with each.
        process_tuning: False leaves switch interval and garbage collector of this process alone.
        max_clock_jump: how far the clock may jump ahead, while the program runs and over a downtime, seconds or
            timedelta; further, and the program stops with an error.
        checkpoint: where the program is kept so that it survives the process: a directory, or a URL of an object
            store (`s3://bucket/path`). Run the same program
            again with the same place and it goes on where it was. None: nothing survives.
        checkpoint_interval: pause between two checkpoints, seconds or timedelta; a restart replays at most so much.
        on_unmatched: what becomes of stored state that no operator of the program claims: `fail`, `drop` it, or
            `start_empty`: drop it, and let operators without a name whose list has changed begin without state.
        on_input_changed: when a batch that runs again after a restart reads other records than before: `fail`, or
            `accept`.
        on_divergence: when a batch that runs again, and that a sink has committed already, comes to another state, or
            gives an output other records.
        savepoint: `PLACE/savepoints/NAME`, or the storage of PLACE and NAME: a checkpoint that is new begins with the
            state and the positions that were pinned there, under a lineage of its own; one that exists goes on as it
            is.
        continue_sinks: a program that begins from a savepoint is for its sinks the program of before.
        storage_options: endpoint, credentials and the like of an object store.
        takeover: on an object store, take the checkpoint over from a driver whose lease has not expired yet.
        on_failure: about a batch in which code of the program fails, again when it is retried: `fail`: the stream
            stops, and nothing is lost; `skip`: as long as no output has committed it, the batch is given up, and the
            stream goes on as if it had held nothing. Its inputs are kept as a dead letter in the checkpoint.
        dead_letter_limit: after so many batches that were given up the stream stops all the same.
        state_log: False, for programs that are cheap and deterministic: batches do not journal what they change in the
            state, which is kept with each checkpoint as a whole; a start runs the batches since then once more, for
            their state alone. Inputs must still have their records then.

    Raises:
        ConfigurationError: an argument has a value that cannot work.

    Example:
        >>> import millstream as ms
        >>> from millstream.testing import ManualClock
        >>> clock, seen = ManualClock(), []
        >>> ssc = ms.StreamingContext(batch_interval=1.0, environment=ms.Environment(clock))
        >>> ssc.queue_stream([["to be", "or not"]]).flat_map(str.split).count().collect_to(seen)
        >>> ssc.start()
        >>> clock.advance(1.0)
        >>> ssc.stop()
        True
        >>> seen
        [[4]]
    """

    _active: ClassVar[dict[str, StreamingContext]] = {}
    _active_lock: ClassVar[threading.Lock] = threading.Lock()
    _starting: ClassVar[tuple[Callable[[StreamingContext], None], ...]] = ()

    def __init__(
        self,
        batch_interval: Duration,
        *,
        context: Context | None = None,
        name: str = DEFAULT_NAME,
        backend: str | Backend | None = None,
        workers: int | None = None,
        partitions: int | None = None,
        environment: Environment | None = None,
        max_queued_batches: int = 10,
        rate_controller: RateControllers = "pid",
        batch_retries: int = 3,
        retry_pause: Duration = 0.1,
        process_tuning: bool = True,
        max_clock_jump: Duration = 30 * 86_400.0,
        checkpoint: str | PathLike[str] | Storage | None = None,
        checkpoint_interval: Duration = 10.0,
        on_unmatched: OnUnmatched = "fail",
        on_input_changed: OnDivergence = "fail",
        on_divergence: OnDivergence = "fail",
        savepoint: str | PathLike[str] | tuple[Storage, str] | None = None,
        continue_sinks: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        takeover: bool = False,
        on_failure: OnFailure = "fail",
        dead_letter_limit: int = 10,
        state_log: bool = True,
    ) -> None:
        interval_ms = duration_ms(batch_interval, "batch_interval")
        self._max_queued_batches = _count_checked(max_queued_batches, "max_queued_batches", 1)
        self._rate_controllers = rate_controllers_checked(rate_controller)
        self._batch_retries = _count_checked(batch_retries, "batch_retries", 0)
        self._retry_pause_ms = duration_ms(retry_pause, "retry_pause")
        self._owns_context = context is None
        if context is None:
            backend = backend if backend is not None else "threads"
            self.context = Context(backend, workers=workers, environment=environment)
        else:
            self.context = _context_checked(context, backend, workers)
        self.name = name
        program = Program(interval_ms, self.context.runner, partitions)
        super().__init__(program, environment_checked(environment) or self.context.environment)
        self._bus = EventBus(self._environment)
        self._tuned = process_tuning
        self._max_clock_jump_ms = duration_ms(max_clock_jump, "max_clock_jump")
        self._checkpoint = checkpoint_settings(
            checkpoint,
            checkpoint_interval,
            on_unmatched,
            on_input_changed,
            on_divergence,
            savepoint,
            continue_sinks,
            storage_options,
            takeover,
            on_failure,
            _count_checked(dead_letter_limit, "dead_letter_limit", 1),
            state_log,
        )
        self._driver: Driver | None = None
        self._stopped_early = False

    @classmethod
    def active(cls, name: str = DEFAULT_NAME) -> StreamingContext | None:
        """Give the active context of a name in this process, or None."""
        return cls._active.get(name)

    @classmethod
    def on_start(cls, tell: Callable[[StreamingContext], None]) -> Callable[[], None]:
        """Have `tell` called with every context of this process before it starts, such as to add a listener.

        Returns:
            A function that ends this.
        """
        cls._starting = (*cls._starting, tell)

        def forget() -> None:
            cls._starting = tuple(other for other in cls._starting if other is not tell)

        return forget

    @property
    def state(self) -> State:
        """`initialized` before start, `active` while it runs, `stopped` after its end."""
        if self._driver is None:
            return "stopped" if self._stopped_early else "initialized"
        return "stopped" if self._driver.ended.is_set() else "active"

    @property
    def batch_interval(self) -> float:
        """The batch interval in seconds."""
        return self.program.interval_ms / 1000.0

    def union(self, *streams: DStream[T]) -> DStream[T]:
        """Put several streams one behind the other, batch by batch."""
        at = labelled("union")
        if not streams:
            raise ConfigurationError(
                "union needs at least one stream.", detail="It was given none.", hint="Write ssc.union(a, b)."
            )
        nodes = [self._node_of(stream, at) for stream in streams]
        return streams[0] if len(streams) == 1 else streams[0].add(UnionNode(nodes, at))

    def transform(self, streams: Sequence[DStream[Any]], f: Callable[..., RDD[U] | None]) -> DStream[U]:
        """Make one RDD of the RDDs of several streams: `f(rdds)`, or `f(rdds, batch)`."""
        at = labelled("transform", f, takes=1, batch=True)
        if not streams:
            raise ConfigurationError(
                "transform needs at least one stream.",
                detail="It was given none.",
                hint="Write ssc.transform([a, b], f).",
            )
        with_batch = wants_batch(f, 1)
        nodes = [self._node_of(stream, at) for stream in streams]
        return streams[0].add(TransformNode(nodes, lambda rdds, batch: f(rdds, batch) if with_batch else f(rdds), at))

    def _node_of(self, stream: DStream[Any], at: Label) -> Node:
        return node_of(stream, self.program, at)

    def remember(self, duration: Duration) -> None:
        """Keep the RDDs of the last while for `slice`, those of streams that no output reads as well.

        Args:
            duration: how far back, seconds or timedelta; a later call may only lengthen it.
        """
        remembered = self.program.graph.remembered
        remembered.span_ms = max(remembered.span_ms, duration_ms(duration, "duration"))

    def add_listener(self, listener: StreamingListener) -> None:
        """Have a listener hear what happens from now on."""
        if not isinstance(listener, StreamingListener):
            raise ArgumentTypeError(
                "add_listener needs a StreamingListener.",
                detail=f"It was given {listener!r}.",
                hint="Make a subclass of millstream.StreamingListener and override what you want to hear.",
            )
        self._bus.add(listener)

    def remove_listener(self, listener: StreamingListener) -> None:
        """Have a listener hear nothing more."""
        self._bus.remove(listener)

    def start(self) -> None:
        """Start the stream and return; it runs in threads of its own.

        With a checkpoint it goes on where an earlier run ended, however that ended.

        Raises:
            LifecycleError: it was started before, or another context of this name is active.
            GraphError: the program has no output operation.
            FencedError: another process runs with this checkpoint.
            IncompatibleCheckpointError: the checkpoint does not fit to the program, and how is said.
            CorruptSegmentError: the checkpoint is damaged.
        """
        self._check_startable()
        self.context.check_open()
        with self.program.graph.starting():
            for tell in self._starting:
                tell(self)
            with self._active_lock:
                self._check_alone()
                self._driver = self._make_driver()
                self._active[self.name] = self
        self._driver.start()

    def _check_alone(self) -> None:
        running = self._active.get(self.name)
        if running is not None and running.state == "active":
            raise LifecycleError(
                f"A context named {self.name!r} is active already.",
                detail="It was started in this process and has not been stopped.",
                hint=f"Stop it with ms.StreamingContext.active({self.name!r}).stop(), or give this one a name=.",
            )
        if any(other.context is self.context and other.state == "active" for other in self._active.values()):
            raise LifecycleError(
                "The Context of this streaming context runs another stream already.",
                detail="The executors of a Context hold the state of one stream at a time.",
                hint="Stop the other stream, or give each a Context of its own.",
            )

    def _check_startable(self) -> None:
        if self.state == "active":
            raise LifecycleError(
                "This context is active already.",
                detail=f"{self!r} was started before.",
                hint="Start it once; wait with await_termination().",
            )
        if self.state == "stopped":
            raise LifecycleError(
                "This context has been stopped, and a stopped one cannot start again.",
                detail=f"{self!r}: its executors and its inputs have been let go.",
                hint="Make a new StreamingContext and put the program together again.",
            )

    def _make_driver(self) -> Driver:
        # Why here: what only a running stream needs would be a quarter of the time that `import millstream` takes.
        from millstream.context.assembly import Settings, assembled

        settings = Settings(
            name=self.name,
            max_queued_batches=self._max_queued_batches,
            batch_retries=self._batch_retries,
            retry_pause_ms=self._retry_pause_ms,
            process_tuning=self._tuned,
            max_clock_jump_ms=self._max_clock_jump_ms,
            checkpoint=self._checkpoint,
            rate_controllers=self._rate_controllers,
        )
        return assembled(self.program, self.context.backend, self._bus, self._environment, settings)

    def stop(self, graceful: bool = True, timeout: float | None = None) -> bool:
        """End the stream and wait for its end; a second call does no harm.

        Args:
            graceful: receivers stop, and what they received is processed first; False: only the batch that runs
                is finished.
            timeout: seconds after which a graceful stop gives up what is left. With a checkpoint that is kept, and
                comes first when the program is started again; without one it is lost. The log says how many records.

        Returns:
            False when the stream has not ended yet: the time ran out, or the call came from one of its functions.
        """
        driver = self._driver
        if driver is None:
            self._stopped_early = True
            self._close_context()
            return True
        ended = driver.ended.is_set() or driver.stop(graceful=graceful, timeout_s=timeout)
        if ended:
            self._leave()
        return ended

    def await_termination(self, timeout: float | None = None) -> bool:
        """Wait until the stream has ended.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            False when the time ran out first.

        Raises:
            LifecycleError: the context was not started.
            Exception: what made the stream stop, with operator, batch time and record where they are known.
        """
        driver = self._driver
        if driver is None:
            raise LifecycleError(
                "This context was not started.", detail=f"There is nothing to wait for: {self!r}.", hint="Call start()."
            )
        if not driver.wait(timeout):
            return False
        self._leave()
        if driver.failure is not None:
            raise _as_users_see_it(driver.failure)
        return True

    async def wait(self) -> None:
        """Wait until the stream has ended, without blocking the event loop; raises as `await_termination` does.

        It may be cancelled, and the stream goes on.
        """
        import asyncio

        driver = self._driver
        if driver is not None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()

            # Why not a thread that waits: it would outlive a wait that is cancelled, and keep the program from ending.
            def tell() -> None:
                with suppress(RuntimeError):  # The event loop was closed, and nobody waits any more.
                    loop.call_soon_threadsafe(ended.set)

            driver.call_at_end(tell)
            try:
                await ended.wait()
            finally:
                driver.forget_call(tell)
        self.await_termination(0)

    def run(self) -> None:
        """Start, wait and stop cleanly: on Ctrl-C or SIGTERM gracefully, on a second one at once.

        One that comes during the start stops the stream when it has started.

        Raises:
            Exception: what made the stream stop.
            KeyboardInterrupt: it was stopped at once, and what had been received may not have been processed.
        """
        with stop_on_signals(self) as signals:
            with signals.held():
                self.start()
            self.await_termination()
        if signals.forced:
            raise KeyboardInterrupt

    def _leave(self) -> None:
        with self._active_lock:
            if self._active.get(self.name) is self:
                del self._active[self.name]
        self._close_context()

    def _close_context(self) -> None:
        if self._owns_context:
            self.context.close()

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "A StreamingContext cannot be sent to an executor.",
            detail="A function that runs in tasks refers to it.",
            hint="Only the driver can start and stop it: do so in foreach_rdd or a listener.",
        )

    def __enter__(self) -> StreamingContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(graceful=error is None)

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        graph, driver = self.program.graph, self._driver
        failure = None if driver is None or driver.failure is None else str(driver.failure)
        return html_table(
            f"StreamingContext {self.name}",
            [
                ("state", self.state),
                ("batch interval", f"{self.batch_interval:g} s"),
                ("inputs", ", ".join(node.name for node in graph.inputs)),
                ("outputs", ", ".join(output.name for output in graph.outputs)),
                ("stopped by", failure),
            ],
        )

    def __repr__(self) -> str:
        return f"<StreamingContext {self.name!r}, {self.state}, a batch every {self.batch_interval:g} s>"


def _as_users_see_it(error: BaseException) -> BaseException:
    """Leave the engine's own frames out where they say nothing: the cause shows the user's lines."""
    return error.with_traceback(None) if isinstance(error, (UserCodeError, InvalidError)) else error


def _count_checked(value: int, argument: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{argument} must be a whole number of at least {least}.",
            detail=f"{argument}={shown(value)}.",
            hint=f"Give an int, {least} or more.",
        )
    return value


def _context_checked(context: Any, backend: object, workers: int | None) -> Context:
    if not isinstance(context, Context):
        raise ArgumentTypeError(
            "context is no Context.",
            detail=f"context={shown(context)} is of type {type(context).__name__}.",
            hint="Give a millstream.Context, or leave it out: the streaming context makes one.",
        )
    if backend is not None or workers is not None:
        raise ConfigurationError(
            "A context that is given has its backend already.",
            detail=f"backend={shown(backend)}, workers={workers} beside context={context!r}.",
            hint="Give backend= and workers= to the Context, or leave context= out.",
        )
    context.check_open()
    return context
