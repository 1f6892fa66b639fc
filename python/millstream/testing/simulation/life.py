"""One run of a simulated program, from its start to its end or its crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millstream.context.streaming_context import StreamingContext
from millstream.environment.environment import Environment
from millstream.errors import BackendUnavailableError, ConfigurationError
from millstream.model.ports.sink import Sink
from millstream.stream.dstream import DStream
from millstream.testing.simulation.clock import SimulatedClock
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.done_batch import DoneBatch, watch_done
from millstream.testing.simulation.executors import SimulatedExecutors
from millstream.testing.simulation.faults import SimulatedCrash
from millstream.testing.simulation.feed import SimulatedFeed, UnansweredFeed
from millstream.testing.simulation.input import SimulatedInput
from millstream.testing.simulation.object_place import ObjectPlace
from millstream.testing.simulation.objects import Request
from millstream.testing.simulation.source import SimulatedSource
from millstream.testing.simulation.table import SimulatedSink
from millstream.testing.simulation.violation import Rule, ViolationError
from millstream.testing.simulation.watched_output import InputWatcher, WatchedOutput

if TYPE_CHECKING:
    from millstream.testing.simulation.world import World


class Life(Connections):
    """What the program is connected with as long as it lives.

    Args:
        world: what outlives it.
        number: 0, 1, 2, ...
        start_ms: when it begins, milliseconds since the epoch.
        takeover: whether it takes the checkpoint over from a driver whose lease has not ended.

    Attributes:
        start_ms: as given.
        clock: its clock.
        rng: chance.
        dead: it crashed; every use of what it was connected with raises SimulatedCrash.
        is_old: another driver has taken over; nothing that is not finished yet may have an effect.
        is_watched: it is looked at what the program holds; nothing goes wrong meanwhile.
        feeds: its pushed inputs.
    """

    def __init__(self, world: World, number: int, start_ms: float, *, takeover: bool = False) -> None:
        self.world = world
        self.number = number
        self.start_ms = start_ms
        self.clock = SimulatedClock(start_ms / 1000.0)
        self.rng = world.rng
        self.dead = False
        self.is_old = False
        self.is_watched = False
        self.feeds: list[SimulatedFeed] = []
        given = dict(world.options.context)
        if not {"context", "backend", "workers"} & given.keys():
            given["backend"] = SimulatedExecutors(self)
        environment = Environment(self.clock, seed=world.rng.getrandbits(32))
        place = world.storage
        self.ssc = StreamingContext(
            world.options.batch_interval,
            name="simulation",
            checkpoint=place.opened(environment, self.clock, self._request)
            if isinstance(place, ObjectPlace)
            else place,
            takeover=takeover,
            savepoint=world.origin,
            continue_sinks=world.continues,
            checkpoint_interval=world.options.checkpoint_interval,
            environment=environment,
            process_tuning=False,
            retry_pause=0.05,
            **given,
        )

    @property
    def starts(self) -> int:
        return self.number

    def stream(self, name: str, *, limit: int | None = None) -> DStream[Any]:
        given = self._input(name, "stream")
        return self.ssc.stream(SimulatedSource(given, self), limit=limit, name=name)

    def pushed(self, name: str, *, positions: bool = True, acknowledged: bool = True) -> DStream[Any]:
        kind = "pushed" if positions else "pushed without positions"
        given = self._input(name, kind if acknowledged else "pushed without answers")
        feed: SimulatedFeed = (
            SimulatedFeed(given, positions=positions, life=self) if acknowledged else UnansweredFeed(given, self)
        )
        self.feeds.append(feed)
        return self.ssc.stream(feed, name=name)

    def sink(self, name: str) -> Sink[Any]:
        return SimulatedSink(self.world.table(name), self)

    def point(self, name: str) -> None:
        self.check()
        if not self.is_old:
            self.world.pass_point(name, self)

    def check(self) -> None:
        """Refuse to go on after the crash."""
        if self.dead:
            raise SimulatedCrash("the program has crashed")

    def fails(self, fault: str) -> bool:
        """Let chance decide whether something goes wrong now."""
        self.check()
        return not self.is_old and not self.is_watched and self.world.fails(fault)

    def no_answer(self, what: str) -> BackendUnavailableError:
        """Give the error of a task that gave no answer."""
        return BackendUnavailableError("A task was lost.", detail=f"{what}.", hint="A simulation injects this.")

    def happen_later(self, effect: Callable[[], None]) -> None:
        """Have something take effect at some later point, whichever life is on then."""
        self.world.happen_later(effect)

    def violated(self, rule: Rule, what: str) -> ViolationError:
        """Note that a rule was broken; the error ends the batch, and the simulation fails with it in any case."""
        violation = ViolationError(rule, what)
        self.world.violations.append(violation)
        return violation

    def start(self) -> None:
        """Build and start the program."""
        self.world.program(self.ssc, self)
        graph = self.ssc.program.graph
        watcher = InputWatcher(list(graph.inputs), self.world.take_batch, graph.inputs[0].label)
        graph.outputs[:] = [*(WatchedOutput(output, self) for output in graph.outputs), watcher]
        self.ssc.start()
        watch_done(self.ssc, self._done)

    def _done(self, done: DoneBatch) -> None:
        """Check what the program holds after a batch."""
        if self.dead or self.is_old:
            return
        self.is_watched = True
        try:
            self.world.take_done(done)
        finally:
            self.is_watched = False

    def sleep(self) -> None:
        """Make room in this process for a driver that takes over."""
        self.is_old = True
        StreamingContext._active.pop(self.ssc.name, None)

    def end(self) -> None:
        """Let go of what the program has left in this process."""
        if not self.is_old:
            StreamingContext._active.pop(self.ssc.name, None)
        self.ssc.context.close()

    def _request(self, request: Request, name: str) -> None:
        """Pass a request to an object store, before which the driver may crash, or sleep while another takes over."""
        self.point(f"before {request} of {name}")
        if self.ssc.state == "active" and self.fails("pause"):
            self.world.pause(self)

    def _input(self, name: str, kind: str) -> SimulatedInput:
        given = self.world.inputs.get(name)
        if given is None or given.kind not in ("", kind):
            raise ConfigurationError(
                f"The simulation has no input {name!r} that is read as a {kind} one.",
                detail=f"inputs= has {sorted(self.world.inputs)}; each is read in one way.",
                hint="Give its records in inputs=.",
            )
        given.kind = kind
        return given
