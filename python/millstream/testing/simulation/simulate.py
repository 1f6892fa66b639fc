"""Testing programs and sinks under crashes and failures, from seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from millstream.errors import ConfigurationError
from millstream.model.choices import one_of
from millstream.model.durations import Duration, duration_ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulation import Outcome, Simulation
from millstream.testing.simulation.violation import ViolationError
from millstream.testing.simulation.world import Fault, Place, SimulationOptions, World

if TYPE_CHECKING:
    from millstream.context.streaming_context import StreamingContext

ALL_FAULTS: tuple[Fault, ...] = get_args(Fault)

LINES_SHOWN = 25
"""How much of what had happened is shown with a failure."""

SEGMENT_BYTES = 4 << 10
"""Small, so that the logs go from file to file many times."""


class SimulationError(AssertionError):
    """A program broke a rule under a seed; run the same seed again to see it again.

    Attributes:
        seed: the seed.
        violation: the rule and what broke it.
        point: where the program was to crash, in a simulation of every point; or None.
    """

    def __init__(
        self, seed: int, violation: ViolationError, happened: Sequence[str], again: str, point: int | None
    ) -> None:
        before = "\n".join(f"  {line}" for line in happened[-LINES_SHOWN:]) or "  nothing"
        super().__init__(f"{violation}\nAgain: {again}\nWhat had gone wrong, the last of {len(happened)}:\n{before}")
        self.seed = seed
        self.violation = violation
        self.point = point


def simulate(
    program: Callable[[StreamingContext, Connections], None],
    inputs: Mapping[str, Sequence[Any]],
    *,
    seeds: Iterable[int] = range(20),
    faults: Iterable[Fault] = ALL_FAULTS,
    batches: int = 20,
    settle: int = 5,
    batch_interval: Duration = 1.0,
    checkpoint_interval: Duration = 3.0,
    every_point: bool = False,
    every: int = 1,
    first: int = 0,
    points: Iterable[int] | None = None,
    check: Callable[[Outcome], None] | None = None,
    deterministic: bool = True,
    storage: Place = "disk",
    again: str = "simulate(..., seeds=[{seed}])",
    **context: Any,
) -> list[Outcome]:
    """Run a program under crashes and failures, and check that it does what it would have done without.

    For each seed the program runs in one thread, on a clock and a storage that are simulated. It crashes, also while
    it recovers, and is started again; its storage loses and tears what was not synced, refuses calls, and is full
    for a while; sources, sinks and tasks fail, before they took effect and after; executors answer late, twice or
    never; senders send again what was not acknowledged; the clock jumps; the program is stopped and started, and
    goes on from a savepoint with a new checkpoint; a driver sleeps before a commit, and wakes when another one has
    taken over. Then all that ends, the rest of the records is processed, and it is checked that

    - `exactly_once`: every record is in exactly one batch, in order (`at_least_once` without positions; `at_most_once`
      where the sender waits for no answer: a crash may lose the last records of a run, those that no batch had);
    - `inputs_fixed`: every attempt at a batch has the same records;
    - `output`: each sink of the simulation has exactly what an undisturbed run of the same batches gives it;
    - `skip`: with `on_failure="skip"`: no sink has a batch that was given up;
    - `batch_order`: batches run and commit in order of batch time;
    - `state_version`: after each batch that is done the program remembers, in all state and windows, what an
      undisturbed run of the same batches does;
    - `retention`: the two newest checkpoints can be used, and come to the same state;
    - `bounded`: files that are not needed any more are removed;
    - `bounded memory`: after each batch that is done the driver holds no plan, no open version of state, no parts of
      windows, no remembered batch and no block beyond those that it needs;
    - `liveness`: once the faults have ended everything is processed;
    - `error`: the program ends with no error but those that are injected;
    - `check`: what you check holds.

    Args:
        program: `program(ssc, simulation)` builds the program, at every start anew: streams come from
            `simulation.stream(name)` and `simulation.pushed(name)`, and records go to `simulation.sink(name)`, to
            sinks of your own, or anywhere. What is outside of the program must outlive it: keep it outside of this
            function. Functions have to give the same result at every run, unless `deterministic` is False.
        inputs: the records of each input, which arrive over time. Make them differ, so that each can be told apart.
        seeds: each is another course of events.
        faults: what may go wrong; of these every seed chooses some, and how often.
        batches: for how many intervals records arrive and things go wrong, at least 1.
        settle: how many batches there are after the last record, so that windows and timeouts come to their end.
        batch_interval: seconds or timedelta.
        checkpoint_interval: pause between two checkpoints, seconds or timedelta.
        every_point: instead of at random, crash once at each place where the program can crash, one run for each,
            with nothing else going wrong.
        every: with `every_point`, only at every n-th place.
        first: with `every_point`, the first of them.
        points: with `every_point`, these places instead.
        check: called with the outcome of every run.
        deterministic: False: functions may give another result when they run again, and `output` and
            `state_version` are not checked.
        storage: where the checkpoint lives: on a `disk`, or on an object store (`objects`), where a driver holds a
            lease, puts lose their answers and take effect late, and `pause` happens before any request.
        again: how a failing run is brought back, for the text of the error: `{seed}` and `{point}` are filled in.
        context: further arguments of the streaming context.

    Returns:
        The outcome of every run.

    Raises:
        SimulationError: a rule was broken; it says which, and under which seed.
        ConfigurationError: an argument has a value that cannot work.

    Example:
        >>> from operator import add
        >>> def program(ssc, simulation):
        ...     words = simulation.stream("words")
        ...     counts = words.map(lambda word: (word, 1)).reduce_by_key_and_window(add, window=3.0)
        ...     counts.write_to(simulation.sink("counts"))
        >>> outcomes = simulate(program, {"words": [f"word-{n}" for n in range(40)]}, seeds=range(3))
        >>> any(outcome.faults["crash"] for outcome in outcomes)
        True
    """
    kinds = _faults_checked(faults)
    one_of("storage", storage, Place)
    options = SimulationOptions(
        duration_ms(batch_interval, "batch_interval") / 1000.0,
        duration_ms(checkpoint_interval, "checkpoint_interval") / 1000.0,
        batches,
        settle,
        SEGMENT_BYTES,
        storage,
        context,
    )

    def run(seed: int, kinds: Sequence[Fault], point: int | None = None) -> Outcome:
        world = World.of_seed(seed, program, inputs, options, kinds, () if point is None else (point,))
        try:
            return Simulation(world, check, deterministic=deterministic).run()
        except ViolationError as violation:
            hint = again.format(seed=seed, point=point)
            raise SimulationError(seed, violation, world.happened, hint, point) from violation

    if not every_point:
        return [run(seed, kinds) for seed in seeds]
    outcomes = []
    for seed in seeds:
        quiet = run(seed, ())
        chosen = range(first, quiet.points, every) if points is None else points
        outcomes += [quiet, *(run(seed, (), point) for point in chosen)]
    return outcomes


def _faults_checked(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    kinds = tuple(faults)
    unknown = [kind for kind in kinds if kind not in ALL_FAULTS]
    if unknown:
        raise ConfigurationError(
            "The simulation does not know a fault.",
            detail=f"{unknown}; it knows {list(ALL_FAULTS)}.",
            hint="Name faults of this list.",
        )
    return kinds
