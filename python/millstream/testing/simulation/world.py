"""What outlives the runs of a simulated program: storage, tables, inputs, and what goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.environment.rng import Rng, seeded_rng
from millstream.environment.storage import Storage
from millstream.model.batch import Batch
from millstream.testing.simulation.crash_plan import CrashPlan
from millstream.testing.simulation.done_batch import DoneBatch
from millstream.testing.simulation.faults import Faults, SimulatedCrash
from millstream.testing.simulation.input import SimulatedInput
from millstream.testing.simulation.object_place import ObjectPlace
from millstream.testing.simulation.state_image import StateImage
from millstream.testing.simulation.storage import SimulatedStorage
from millstream.testing.simulation.table import SimulatedTable
from millstream.testing.simulation.violation import ViolationError

if TYPE_CHECKING:
    from millstream.context.streaming_context import StreamingContext
    from millstream.testing.simulation.connections import Connections
    from millstream.testing.simulation.life import Life

Place: TypeAlias = Literal["disk", "objects"]
"""Where the checkpoint lives: on a local disk, or on an object store."""

Fault: TypeAlias = Literal[
    "crash",
    "storage",
    "disk full",
    "source",
    "sink",
    "slow sink",
    "task",
    "late task",
    "repeated task",
    "silent task",
    "clock",
    "stop",
    "savepoint",
    "pause",
]
"""What may go wrong; see `millstream.testing.simulate`."""

RATES: Mapping[Fault, float] = {
    "storage": 0.004,
    "disk full": 0.04,
    "source": 0.02,
    "sink": 0.03,
    "slow sink": 0.04,
    "task": 0.03,
    "late task": 0.04,
    "repeated task": 0.03,
    "silent task": 0.01,
    "clock": 0.04,
    "stop": 0.04,
    "savepoint": 0.02,
    "pause": 0.02,
}
"""How often each happens where it may, in a seed that has it at its usual rate."""

FACTORS = (0.0, 1.0, 4.0)
"""Each seed takes every fault at one of these multiples of its rate: what is rare beside others is seen alone."""

LATE_POINTS_MAX = 60
START_MS = 1_700_000_000_250.0


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """How long and how fast.

    Attributes:
        batch_interval: seconds.
        checkpoint_interval: seconds.
        batches: for how many intervals records arrive and things go wrong.
        settle: how many batches there are after the last record.
        segment_bytes: how large the files of a log get.
        storage: where the checkpoint lives.
        context: further arguments of the streaming context.
    """

    batch_interval: float
    checkpoint_interval: float
    batches: int
    settle: int
    segment_bytes: int
    storage: Place
    context: Mapping[str, Any]


@dataclass(slots=True)
class SimulatedBatch:
    """One batch that was planned.

    Attributes:
        time_ms: its time.
        parts: for every input its rows, block by block or split by split.
    """

    time_ms: int
    parts: dict[str, list[list[Any]]]

    @property
    def inputs(self) -> dict[str, list[Any]]:
        """For every input its rows."""
        return {name: [row for part in parts for row in part] for name, parts in self.parts.items()}


@dataclass(slots=True)
class World:
    """Everything around a program that is simulated.

    Attributes:
        seed: of all chance.
        program: `program(ssc, connections)` builds it.
        options: how long and how fast.
        inputs: by name.
        crashes: when the program crashes.
        rates: how often each fault happens where it may.
        storage: of the checkpoint.
        orderly: numbers of the runs of the program that ended in order, on a storage that took what they left.
        tables: by name of the sink.
        batches: all that ran, by time.
        compares_states: what the program remembers after each batch is kept.
        states: what it remembered, by batch time.
        points: how many places were passed where the program may crash.
        violations: rules that were broken.
        happened: what went wrong, for people.
        counts: how often each fault happened.
        calm: nothing goes wrong any more.
        pause: has a driver sleep while another one takes over, and gives it the rest of its time when that one works.
        life: the newest run of the program.
        origin: the storage and the name of the savepoint that the checkpoint began from, or None.
        continues: the program from there is for its sinks the one of before.
        left: checkpoints that the program has left for others.
    """

    seed: int
    program: Callable[[StreamingContext, Connections], None]
    options: SimulationOptions
    inputs: dict[str, SimulatedInput]
    crashes: CrashPlan
    rates: dict[str, float]
    rng: Rng
    storage: SimulatedStorage | ObjectPlace
    orderly: set[int] = field(default_factory=set)
    tables: dict[str, SimulatedTable] = field(default_factory=dict)
    batches: dict[int, SimulatedBatch] = field(default_factory=dict)
    compares_states: bool = True
    states: dict[int, StateImage] = field(default_factory=dict)
    points: int = 0
    violations: list[ViolationError] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    pause: Callable[[Life], None] = lambda life: None
    life: Life | None = None
    origin: tuple[Storage, str] | None = None
    continues: bool = False
    left: list[Storage] = field(default_factory=list)
    _late: list[tuple[int, Callable[[], None]]] = field(default_factory=list)

    @classmethod
    def of_seed(
        cls,
        seed: int,
        program: Callable[[StreamingContext, Connections], None],
        inputs: Mapping[str, Sequence[Any]],
        options: SimulationOptions,
        faults: Iterable[Fault],
        crash_at: Sequence[int] = (),
    ) -> World:
        """Make the world of a seed."""
        arriving = seeded_rng(f"{seed}:arrivals")
        rng = seeded_rng(f"{seed}:faults")
        span_ms = options.batches * options.batch_interval * 1000.0
        on_objects = options.storage == "objects"
        kinds = sorted(kind for kind in faults if not (on_objects and kind == "disk full"))  # A bucket is never full.
        rates: dict[str, float] = {kind: RATES[kind] * rng.choice(FACTORS) for kind in kinds if kind != "crash"}
        crashing = seeded_rng(f"{seed}:crashes") if "crash" in kinds else None
        world = cls(
            seed,
            program,
            options,
            {
                name: SimulatedInput.spread(name, records, arriving, START_MS, span_ms)
                for name, records in inputs.items()
            },
            CrashPlan(crash_at, crashing),
            rates,
            rng,
            SimulatedStorage(rng),
        )
        hooked = Faults(
            seeded_rng(f"{seed}:storage"),
            rate=rates.get("storage", 0.0),
            hook=lambda operation, phase: world.pass_point(f"{phase} {operation.kind} of {operation.name}", None),
            tell=lambda operation, phase: world.note("storage", f"{operation.kind} of {operation.name} fails {phase}"),
        )
        if on_objects:
            world.storage = ObjectPlace(rng, hooked)
        else:
            world.storage = SimulatedStorage(rng, faults=hooked, segment_bytes=options.segment_bytes)
        return world

    @property
    def is_storage_well(self) -> bool:
        """Whether the storage takes everything."""
        return self.calm or not (self.rates.get("storage") or self.rates.get("disk full"))

    def table(self, name: str) -> SimulatedTable:
        """Give the table of a sink."""
        return self.tables.setdefault(name, SimulatedTable(name))

    def pass_point(self, name: str, life: Life | None) -> None:
        """Pass a place where the program may crash."""
        number = self.points
        self.points += 1
        while late := next((late for late in self._late if late[0] <= number), None):
            self._late.remove(late)  # Before it takes effect, which may pass points itself.
            late[1]()
        if self.crashes.is_due(number):
            self.crash(f"point {number}: {name}")

    def crash(self, where: str) -> None:
        """End the process here, and perhaps the machine."""
        machine = self.rng.random() < 0.7
        self.note("crash", f"{'machine' if machine else 'process'} crashes at {where}")
        if self.life is not None:
            self.life.dead = True
        self.storage = self.storage.crash(machine=machine)
        raise SimulatedCrash(where)

    def fails(self, fault: str) -> bool:
        """Let chance decide whether something goes wrong now."""
        rate = self.rates.get(fault, 0.0)
        if self.calm or not rate or self.rng.random() >= rate:
            return False
        self.note(fault, fault)
        return True

    def happen_later(self, effect: Callable[[], None]) -> None:
        """Have something take effect at some later point."""
        self._late.append((self.points + self.rng.randint(1, LATE_POINTS_MAX), effect))

    def note(self, fault: str, text: str) -> None:
        """Note for people what goes wrong."""
        self.counts[fault] += 1
        time_ms = 0.0 if self.life is None else self.life.clock.wall_ms()
        self.happened.append(f"{(time_ms - START_MS) / 1000.0:9.3f} s  {text}")

    def take_batch(self, batch: Batch, parts: dict[str, list[list[Any]]]) -> None:
        """Note what an attempt at a batch has."""
        known = self.batches.get(batch.time_ms)
        if known is None:
            newest_ms = max(self.batches, default=0)
            if batch.time_ms < newest_ms:
                self._violate("batch_order", f"{batch.time_ms} runs first after {newest_ms} did")
            self.batches[batch.time_ms] = SimulatedBatch(batch.time_ms, parts)
        elif known.parts != parts:
            self._violate(
                "inputs_fixed",
                f"attempt {batch.attempt} at {batch.time_ms} has {parts}, an earlier one had {known.parts}",
            )

    def take_done(self, done: DoneBatch) -> None:
        """Note what the program remembers after a batch, and that it holds nothing else."""
        if beyond := done.beyond_bound():
            self.violations.append(ViolationError("bounded memory", f"after {done.time_ms} it holds {beyond}"))
        if not self.compares_states:
            return
        image = done.image()
        known = self.states.setdefault(done.time_ms, image)
        if differences := image.differences(known):
            what = f"when {done.time_ms} was done again, it was not what it had been: {differences}"
            self.violations.append(ViolationError("state_version", what))

    def _violate(self, rule: Any, what: str) -> None:
        violation = ViolationError(rule, what)
        self.violations.append(violation)
        raise violation

    def calm_down(self) -> None:
        """End all trouble."""
        self.calm = True
        self.crashes.end()
        self.storage.calm_down()
