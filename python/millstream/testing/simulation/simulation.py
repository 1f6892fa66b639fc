"""One seed: runs of a program, one after another, until it is done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from millstream.control.durability import Durability
from millstream.control.facts import StopRequested
from millstream.errors import FencedError, UnavailableError
from millstream.testing.simulation.checks import (
    check_kept_checkpoints,
    check_outcome,
    check_size,
    check_states,
    given_up,
)
from millstream.testing.simulation.faults import SimulatedCrash
from millstream.testing.simulation.life import Life
from millstream.testing.simulation.object_place import EXPIRY_MS, ObjectPlace
from millstream.testing.simulation.replay import replay
from millstream.testing.simulation.savepoint import begin_from_savepoint
from millstream.testing.simulation.violation import ViolationError
from millstream.testing.simulation.world import START_MS, SimulatedBatch, World

PATIENCE_BATCHES = 120
"""After the last fault all is done within so many intervals, beside the batches that are asked for."""

LONG_DOWNTIME_S = 90.0

TAKEOVERS = 0.7
"""How many starts on an object store take the lease over; the others wait for its end."""

AWAKE_MAX = 8
"""How many steps of under one interval a driver that has taken over works before the old one wakes, at most."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did under one seed.

    Attributes:
        seed: of the simulation.
        batches: all batches, in order of batch time.
        outputs: for each sink of the simulation the rows of every batch, by batch time.
        zero_ms: the zero time of the grid, from which slides are counted.
        downtimes: spans (from, to] in which no batch could be made, as the journal has them, milliseconds since the
            epoch. Overdue batches may lie in them.
        lives: how often the program was started.
        points: how many places were passed where it may crash.
        faults: how often each fault happened.
        skipped: batches that were given up, with `on_failure="skip"`; none of them is among `batches`.
    """

    seed: int
    batches: list[SimulatedBatch]
    outputs: dict[str, dict[int, list[Any]]]
    zero_ms: int
    downtimes: list[tuple[int, int]]
    lives: int
    points: int
    faults: Counter[str]
    skipped: list[SimulatedBatch] = field(default_factory=list)


class Simulation:
    """Runs a program in a world until all that arrives is processed and everything is checked.

    Args:
        world: of one seed.
        check: a check of the user's.
        deterministic: compare with an undisturbed run.
    """

    def __init__(self, world: World, check: Callable[[Outcome], None] | None, *, deterministic: bool = True) -> None:
        self._deterministic = deterministic
        self._world = world
        self._check = check
        self._interval_ms = world.options.batch_interval * 1000.0
        self._now_ms = START_MS
        self._storm_end_ms = START_MS + world.options.batches * self._interval_ms
        self._calm_since_ms = math.inf
        self._over_ms = math.inf
        self._room_back_ms = math.inf
        self._lives = 0
        self._stopping = False
        self._leaving = False
        self._durability: Durability | None = None
        world.pause = self._pause
        world.compares_states = deterministic

    def run(self) -> Outcome:
        """Run it.

        Raises:
            ViolationError: a rule was broken.
        """
        while not self._live_once():
            self._check_violations()
            self._now_ms += self._downtime_ms()
        return self._finish()

    def _live_once(self) -> bool:
        """Start the program and let it run to its crash or end; True when everything is done."""
        world = self._world
        self._stopping = self._leaving = False
        self._over_ms = math.inf
        life = world.life = Life(world, self._lives, self._now_ms, takeover=self._takes_over())
        self._lives += 1
        done = False
        try:
            if self._start(life):
                done = self._go_on(life)
        except SimulatedCrash:
            pass
        finally:
            assert world.life is not None
            life = world.life
            self._now_ms = life.clock.wall_ms()
            if not life.dead and life.ssc.state == "active":
                life.dead = True
            life.end()
        if not done:
            self._check_patience()
        return done and not life.dead

    def _start(self, life: Life) -> bool:
        world = self._world
        if self._now_ms >= self._storm_end_ms:
            self._calm_down()
        try:
            life.start()
        except FencedError as error:
            if not isinstance(world.storage, ObjectPlace):
                raise ViolationError("error", f"the program does not start: {error}") from error
            world.note("refused", "start is refused, as another driver's lease lives")
            return False
        except UnavailableError as error:
            if world.calm:
                raise ViolationError("liveness", f"the program does not start: {error}") from error
            world.note("start", f"start fails: {type(error).__name__}")
            return False
        except Exception as error:
            raise ViolationError("error", f"the program does not start: {type(error).__name__}: {error}") from error
        driver: Any = life.ssc._driver
        self._durability = driver._batches._durability
        assert self._durability is not None
        check_kept_checkpoints(self._durability.checkpoint.history, world.storage)
        return True

    def _go_on(self, life: Life) -> bool:
        world = self._world
        while True:
            life.clock.advance(world.rng.uniform(0.1, 0.9) * world.options.batch_interval)
            if life.is_old:
                life = self._go_over(life)
                if life.ssc.state == "initialized":
                    return False  # It could not start.
            now_ms = self._now_ms = life.clock.wall_ms()
            self._check_violations()
            if life.dead:
                return False
            if life.ssc.state == "stopped":
                return self._ended(life)
            if not world.calm and now_ms >= self._storm_end_ms:
                self._calm_down()
            if not world.calm:
                self._disturb(life)
            elif not self._stopping and self._is_done(life):
                self._stop(life, graceful=True)
            self._check_patience()

    def _pause(self, old: Life) -> None:
        """Have a driver sleep, and another one take over and work; then the old one wakes where it was.

        The store lets the old driver write nothing from now on, as after an append of the new one to a log of
        conditional puts; what its sinks let it do is what is tested.
        """
        world, rng = self._world, self._world.rng
        if self._stopping or old.ssc.state != "active":
            return  # It is about to end anyway.
        old.sleep()
        world.storage = world.storage.take_over()
        takeover = self._takes_over()
        # On an object store others wait until the lease has ended, which nobody renews.
        start_ms = old.clock.wall_ms() + (EXPIRY_MS if isinstance(world.storage, ObjectPlace) and not takeover else 0.0)
        life = world.life = Life(world, self._lives, start_ms, takeover=takeover)
        self._lives += 1
        try:
            if self._start(life):
                for _ in range(rng.randint(0, AWAKE_MAX)):
                    if life.dead or life.is_old or life.ssc.state == "stopped":
                        break
                    life.clock.advance(rng.uniform(0.1, 0.9) * world.options.batch_interval)
        except SimulatedCrash:
            pass
        except ViolationError as violation:
            # Not raised here, where the old driver would take it for an error of its sink.
            world.violations.append(violation)
        if life.is_old:
            self._go_over(life)
        world.note("wake", "the old driver wakes up")

    def _takes_over(self) -> bool:
        """Whether the next driver takes the lease of one that may live."""
        return isinstance(self._world.storage, ObjectPlace) and self._world.rng.random() < TAKEOVERS

    def _go_over(self, old: Life) -> Life:
        """Leave a driver that woke up, which must have ended or be about to, and go on with the newest one."""
        assert self._world.life is not None
        driver: Any = old.ssc._driver
        failure = driver.failure
        if failure is not None and not isinstance(failure, (FencedError, UnavailableError, SimulatedCrash)):
            raise ViolationError("error", f"an old driver ended: {type(failure).__name__}: {failure}") from failure
        old.dead = True
        old.end()
        return self._world.life

    def _ended(self, life: Life) -> bool:
        """Look at how the program ended; True when it did in order and everything is done."""
        driver: Any = life.ssc._driver
        failure = driver.failure
        if isinstance(failure, UnavailableError) and not (self._world.calm and self._stopping):
            self._world.note("end", f"the program ends: {failure}")
            return False
        if failure is not None:
            raise ViolationError("error", f"the program ended: {type(failure).__name__}: {failure}") from failure
        if not self._stopping:
            raise ViolationError("error", "the program ended by itself")
        if self._world.is_storage_well:
            self._world.orderly.add(life.number)
        if self._leaving:
            begin_from_savepoint(self._world)
        return self._world.calm and self._is_done(life)

    def _disturb(self, life: Life) -> None:
        world, rng = self._world, self._world.rng
        if world.fails("clock"):
            by_ms = rng.choice((-1, 1)) * rng.choice((50.0, 900.0, 5_000.0, 40_000.0)) * rng.random()
            world.note("jump", f"clock jumps by {by_ms / 1000.0:.3f} s")
            life.clock.jump(by_ms)
        if self._now_ms >= self._room_back_ms:
            world.storage.faults.room_bytes, self._room_back_ms = None, math.inf
        elif world.fails("disk full"):
            world.storage.faults.room_bytes = rng.randint(0, world.options.segment_bytes)
            self._room_back_ms = self._now_ms + rng.uniform(0.5, 5.0) * self._interval_ms
        if not self._stopping and world.fails("stop"):
            self._stop(life, graceful=rng.random() < 0.6)
        if not self._stopping and world.fails("savepoint"):
            self._leaving = True
            self._stop(life, graceful=True)

    def _stop(self, life: Life, *, graceful: bool) -> None:
        self._stopping = True
        driver: Any = life.ssc._driver
        driver.post(StopRequested(graceful))

    def _calm_down(self) -> None:
        self._world.calm_down()
        self._calm_since_ms = min(self._calm_since_ms, self._now_ms)

    def _is_done(self, life: Life) -> bool:
        """Whether all that arrives is in batches, and the batches after it are done."""
        world = self._world
        driver: Any = life.ssc._driver
        if any(not given.is_over for given in world.inputs.values()) or any(feed.pending for feed in life.feeds):
            return False
        newest_ms = max(world.batches, default=0)
        # Batch times, and not the wall clock alone: that may be behind them. Downtime does not count.
        self._over_ms = min(self._over_ms, max(newest_ms, life.start_ms))
        return newest_ms > self._over_ms + world.options.settle * self._interval_ms and not driver._batches._works

    def _check_patience(self) -> None:
        waited = (self._now_ms - self._calm_since_ms) / self._interval_ms
        if waited > PATIENCE_BATCHES + self._world.options.settle:
            life = self._world.life
            driver: Any = None if life is None else life.ssc._driver
            raise ViolationError(
                "liveness",
                f"{waited:.0f} intervals after the last fault not everything is done: "
                f"inputs over {[given.is_over for given in self._world.inputs.values()]}, "
                f"{None if driver is None else driver._machine}",
            )

    def _check_violations(self) -> None:
        if self._world.violations:
            raise self._world.violations[0]

    def _downtime_ms(self) -> float:
        rng = self._world.rng
        if rng.random() < 0.1:
            return rng.uniform(0.0, LONG_DOWNTIME_S) * 1000.0
        return rng.choice((0.0, rng.uniform(0.0, 3.0) * self._interval_ms))

    def _finish(self) -> Outcome:
        world, durability = self._world, self._durability
        assert durability is not None
        history = durability.checkpoint.history
        skipped = given_up(world)
        for batch in skipped:
            world.batches.pop(batch.time_ms, None)
            world.states.pop(batch.time_ms, None)
        outcome = Outcome(
            world.seed,
            [world.batches[time_ms] for time_ms in sorted(world.batches)],
            {name: dict(sorted(table.batches.items())) for name, table in sorted(world.tables.items())},
            durability.checkpoint.identity.zero_time_ms,
            [(after_ms, until_ms) for after_ms, until_ms in history.downtimes],
            self._lives,
            world.points,
            world.counts,
            skipped,
        )
        check_kept_checkpoints(history, world.storage)
        check_size(world.storage)
        check_outcome(world, sorted([*outcome.batches, *skipped], key=lambda batch: batch.time_ms))
        if self._deterministic:
            undisturbed = replay(world, outcome.batches, outcome.downtimes, outcome.zero_ms)
            check_states(world.states, undisturbed.states)
            for name, batches in outcome.outputs.items():
                _compare(name, batches, undisturbed.outputs.get(name, {}))
        if self._check is not None:
            try:
                self._check(outcome)
            except Exception as error:
                raise ViolationError("check", f"{type(error).__name__}: {error}") from error
        return outcome


def _compare(name: str, batches: dict[int, list[Any]], undisturbed: dict[int, list[Any]]) -> None:
    for time_ms in sorted({*batches, *undisturbed}):
        rows, others = batches.get(time_ms, []), undisturbed.get(time_ms, [])
        if rows != others:
            raise ViolationError(
                "output",
                f"{name} has at {time_ms}\n    {rows}\n  and in an undisturbed run of the same batches\n    {others}",
            )
