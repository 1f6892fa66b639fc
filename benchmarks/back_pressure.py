"""Back-pressure: rate controllers against loads and slow sinks, on a simulated engine.

Nothing here runs in real time: the source, the token bucket and the engine are stepped every 10 ms, and the noise of
processing times comes from a fixed seed, so that each run gives the same figures.

The engine runs one batch at a time and merges batch times that fell due meanwhile, as millstream does; `spark queue`
gives each batch time a batch of its own, as Spark does. `--svg=FOLDER` writes the pictures of docs/back-pressure.md.
"""

from __future__ import annotations

import math
import random
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks.peers.spark_pid import SparkPidController
from benchmarks.pictures import Line, picture
from millstream.control.rate.pid_rate_controller import PidRateController
from millstream.graph.inputs import ROOM_BATCHES
from millstream.model.ports.rate_controller import BatchMeasured, RateController

STEP_MS = 10
BURST_S = 0.1
NOISE = 0.05
SEED = 7

Course: TypeAlias = Callable[[float], float]
"""A quantity over time, in seconds."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load and a program.

    Attributes:
        name: of the scenario.
        seconds: how long it is run.
        offered: records a second that arrive at the source.
        overhead_ms: what a batch costs beside its records.
        cost_ms: what a record costs.
        interval_ms: the batch interval.
        waiting: records that wait in the source at the start.
        is_pulled: the source is asked, and keeps what is not taken; False: it pushes, and a token bucket slows it.
    """

    name: str
    seconds: int
    offered: Course
    overhead_ms: Course
    cost_ms: Course
    interval_ms: int = 1_000
    waiting: int = 0
    is_pulled: bool = False

    def span_ms(self, now_s: float) -> float:
        """Give how long a batch is: the interval, or twice the overhead if that is longer."""
        return max(float(self.interval_ms), 2.0 * self.overhead_ms(now_s))

    def possible_per_s(self, now_s: float) -> float:
        """Give what the program can process."""
        span_ms = self.span_ms(now_s)
        return (span_ms - self.overhead_ms(now_s)) / self.cost_ms(now_s) / span_ms * 1000.0


@dataclass(slots=True)
class Outcome:
    """What came of one scenario under one controller.

    Attributes:
        processed: records that batches have processed.
        possible: records that could have been.
        delays: of each batch, when it ended and for how long its oldest record had been in the engine, seconds.
        waits: the same from the arrival at the source.
        limits: the limit after each batch, with the time, seconds; infinite: none.
        rates: records a second that the engine took in, over the seconds.
    """

    processed: float = 0.0
    possible: float = 0.0
    delays: list[tuple[float, float]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    limits: list[tuple[float, float]] = field(default_factory=list)
    rates: dict[int, float] = field(default_factory=dict)

    def figures(self, scenario: Scenario) -> tuple[float, float, float, float, float]:
        """Give peak delay, seconds with more than two and a half batches' delay, and three more.

        These are the share of what was possible, the peak wait and the lowest limit after the first ten seconds.
        """
        late_s = last_s = 0.0
        for at_s, delay_s in self.delays:
            if delay_s > 2.5 * scenario.span_ms(at_s) / 1000.0:
                late_s += at_s - last_s
            last_s = at_s
        return (
            max(delay for _, delay in self.delays),
            late_s,
            self.processed / self.possible,
            max(wait for _, wait in self.waits),
            min((limit for at, limit in self.limits if at > 10.0), default=math.inf),
        )


class Queue:
    """Records in the order of their arrival, as runs that arrived together."""

    def __init__(self) -> None:
        self.runs: deque[tuple[float, float, float]] = deque()
        self.count = 0.0

    def put(self, arrived_s: float, entered_s: float, count: float) -> None:
        """Add records, with when they arrived at the source and when they came here."""
        if count > 0.0:
            self.runs.append((arrived_s, entered_s, count))
            self.count += count

    def take(self, most: float) -> list[tuple[float, float, float]]:
        """Take the oldest records."""
        taken: list[tuple[float, float, float]] = []
        while self.runs and most > 1e-9:
            arrived_s, entered_s, count = self.runs.popleft()
            part = min(count, most)
            if part < count:
                self.runs.appendleft((arrived_s, entered_s, count - part))
            taken.append((arrived_s, entered_s, part))
            most -= part
            self.count -= part
        return taken


@dataclass(slots=True)
class Simulation:
    """Source, token bucket and engine of one scenario."""

    scenario: Scenario
    controller: RateController | None
    merges: bool = True
    room_batches: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)
    source: Queue = field(default_factory=Queue)
    engine: Queue = field(default_factory=Queue)
    planned: deque[tuple[int, list[tuple[float, float, float]]]] = field(default_factory=deque)
    rate: float | None = None
    tokens: float = 0.0
    planned_ms: int = 0
    running: tuple[int, float, float, list[tuple[float, float, float]]] | None = None
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def run(self) -> Outcome:
        """Run to the end."""
        scenario = self.scenario
        self.source.put(0.0, 0.0, scenario.waiting)
        left, arrivals = float(scenario.waiting), random.Random(SEED + 1)
        if self.controller is not None:
            self.rate = self.controller.first_rate(scenario.interval_ms)
        for now_ms in range(STEP_MS, scenario.seconds * 1000 + 1, STEP_MS):
            now_s = now_ms / 1000.0
            mean = scenario.offered(now_s) * STEP_MS / 1000.0
            arrived = max(0.0, arrivals.gauss(mean, mean**0.5))
            self.source.put(now_s, now_s, arrived)
            left += arrived
            processed = min(left, scenario.possible_per_s(now_s) * STEP_MS / 1000.0)
            left -= processed
            self.outcome.possible += processed
            if not scenario.is_pulled:
                self._let_in(now_s)
            self._end(now_ms)
            if now_ms % scenario.interval_ms == 0 and not self.merges:
                self._plan(now_ms)
            self._begin(now_ms)
        return self.outcome

    def _let_in(self, now_s: float) -> None:
        count = self.source.count
        if self.rate is not None:
            self.tokens = min(self.tokens + self.rate * STEP_MS / 1000.0, max(1.0, self.rate * BURST_S))
            count = min(count, self.tokens)
            span_ms = max(float(self.scenario.interval_ms), self.controller.span_ms if self.controller else 0.0)
            if self.room_batches:
                count = min(count, max(0.0, self.rate * self.room_batches * span_ms / 1000.0 - self.engine.count))
            self.tokens -= count
        self._note_taken(now_s, count)
        for arrived_s, _, part in self.source.take(count):
            self.engine.put(arrived_s, now_s, part)

    def _note_taken(self, now_s: float, count: float) -> None:
        second = int(now_s)
        self.outcome.rates[second] = self.outcome.rates.get(second, 0.0) + count

    def _plan(self, time_ms: int) -> None:
        """Fix what belongs to a batch."""
        if self.scenario.is_pulled:
            span_ms = max(float(self.scenario.interval_ms), self.controller.span_ms if self.controller else 0.0)
            most = math.inf if self.rate is None else self.rate * span_ms / 1000.0
            taken = [(arrived_s, time_ms / 1000.0, part) for arrived_s, _, part in self.source.take(most)]
            self._note_taken(time_ms / 1000.0, sum(part for _, _, part in taken))
        else:
            taken = self.engine.take(math.inf)
        self.planned_ms = time_ms
        self.planned.append((time_ms, taken))

    def _begin(self, now_ms: int) -> None:
        if self.running is not None:
            return
        due_ms = now_ms - now_ms % self.scenario.interval_ms
        if self.merges and due_ms > self.planned_ms:
            self._plan(due_ms)
        if self.planned:
            time_ms, taken = self.planned.popleft()
            records = sum(part for _, _, part in taken)
            at_s = now_ms / 1000.0
            noise = max(0.5, 1.0 + NOISE * self.chance.gauss(0.0, 1.0))
            took_ms = (self.scenario.overhead_ms(at_s) + self.scenario.cost_ms(at_s) * records) * noise
            self.running = time_ms, float(now_ms), now_ms + took_ms, taken

    def _end(self, now_ms: int) -> None:
        if self.running is None or self.running[2] > now_ms:
            return
        (time_ms, began_ms, ended_ms, taken), self.running = self.running, None
        records, ended_s = sum(part for _, _, part in taken), ended_ms / 1000.0
        self.outcome.processed += records
        if taken:
            self.outcome.delays.append((ended_s, ended_s - taken[0][1]))
            self.outcome.waits.append((ended_s, ended_s - taken[0][0]))
        if self.controller is not None:
            measured = {"input": round(records)}
            self.rate = self.controller.next_rate(
                BatchMeasured(time_ms, self.scenario.interval_ms, measured, ended_ms - began_ms, began_ms - time_ms)
            )
            self.outcome.limits.append((ended_s, math.inf if self.rate is None else self.rate))


def flat(value: float) -> Course:
    """Give a quantity that does not change."""
    return lambda now_s: value


def between(low: float, high: float, begin_s: float, end_s: float) -> Course:
    """Give a quantity that is high for a while."""
    return lambda now_s: high if begin_s <= now_s < end_s else low


SCENARIOS = (
    Scenario("step load", 180, between(2_000, 10_000, 30, 90), flat(50), flat(0.19)),
    Scenario("slow sink", 180, flat(4_000), between(50, 600, 60, 120), flat(0.19)),
    Scenario("slower records", 180, flat(4_000), flat(50), between(0.19, 0.95, 60, 120)),
    Scenario("burst after idleness", 180, between(20, 5_000, 120, 150), flat(400), flat(0.1)),
    Scenario("sawtooth", 180, lambda now_s: 10_000 * (now_s % 60) / 60, flat(50), flat(0.19)),
    Scenario("backlog at the start", 120, flat(2_000), flat(50), flat(0.19), waiting=300_000, is_pulled=True),
    Scenario("overhead of three intervals", 60, flat(6_000), flat(300), flat(0.1), interval_ms=100),
    Scenario("the same, asked for records", 60, flat(6_000), flat(300), flat(0.1), interval_ms=100, is_pulled=True),
)

PICTURED = (
    "step load",
    "sawtooth",
    "slow sink",
    "slower records",
    "burst after idleness",
    "backlog at the start",
    "overhead of three intervals",
)
"""The scenarios of which docs/back-pressure.md shows pictures."""

ENGINES: Mapping[str, Callable[[Scenario], Simulation]] = {
    "none": lambda scenario: Simulation(scenario, None),
    "spark queue": lambda scenario: Simulation(scenario, SparkPidController(), merges=False),
    "spark_pid": lambda scenario: Simulation(scenario, SparkPidController()),
    "pid": lambda scenario: Simulation(scenario, PidRateController("input"), room_batches=ROOM_BATCHES),
}


def drawn(scenario: Scenario) -> str:
    """Draw what Spark's controller and ours made of a scenario."""
    spark, ours = (ENGINES[name](scenario).run() for name in ("spark queue", "pid"))
    seconds = range(scenario.seconds)
    return picture(
        scenario.name,
        {
            "records a second taken in": [
                Line("offered", "offered", [(float(at), scenario.offered(at)) for at in seconds]),
                Line("Spark's PID", "peer", [(float(at), spark.rates.get(at, 0.0)) for at in seconds]),
                Line("millstream", "ours", [(float(at), ours.rates.get(at, 0.0)) for at in seconds]),
            ],
            "delay in the engine, seconds": [
                Line("Spark's PID", "peer", spark.delays),
                Line("millstream", "ours", ours.delays),
            ],
        },
    )


def main() -> None:
    """Print the table; draw the pictures when asked to."""
    folder = next((argument.split("=", 1)[1] for argument in sys.argv[1:] if argument.startswith("--svg=")), None)
    print(
        f"{'scenario':<28} {'controller':<12} {'peak delay':>10} {'late':>8} {'possible':>9} {'peak wait':>10} lowest"
    )
    for scenario in SCENARIOS:
        for name, engine in ENGINES.items():
            peak_s, late_s, share, wait_s, lowest = engine(scenario).run().figures(scenario)
            limit = "-" if math.isinf(lowest) else f"{lowest:,.0f}/s"
            times = f"{peak_s:>8.1f} s {late_s:>6.1f} s {share:>8.1%} {wait_s:>8.1f} s"
            print(f"{scenario.name:<28} {name:<12} {times} {limit}")
        if folder is not None and scenario.name in PICTURED:
            Path(folder, f"back-pressure-{scenario.name.replace(' ', '-')}.svg").write_text(drawn(scenario))


if __name__ == "__main__":
    main()
