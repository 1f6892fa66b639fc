"""The checkpoint of a program: its settings, and how it is opened at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.control.recovery_policies import OnDivergence, RecoveryPolicies
from millstream.control.start_progress import StartProgress
from millstream.environment.environment import Environment
from millstream.environment.storage import Storage
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.execution.backend import Backend
from millstream.graph.graph import Graph
from millstream.model.choices import one_of
from millstream.model.durations import Duration, duration_ms
from millstream.observe.event_bus import EventBus
from millstream.recovery.matching import OnUnmatched

if TYPE_CHECKING:
    from millstream.control.durability import Durability

OnFailure: TypeAlias = Literal["fail", "skip"]

# Why not from recovery.savepoint: what reads checkpoints is loaded by programs that have one, when they start.
_SAVEPOINTS = "/savepoints/"


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Where a program is kept, and how.

    Attributes:
        place: a path, or a storage.
        interval_ms: pause between two checkpoints.
        policies: what a start does where only a person can decide; a limit of 0 dead letters stops the stream instead.
        savepoint: where a new checkpoint begins, `PLACE/savepoints/NAME`, or the storage of PLACE and NAME; or None.
        continue_sinks: the sinks go on under the lineage of the savepoint.
        storage_options: endpoint, credentials and the like of an object store.
        takeover: take the checkpoint over from a driver whose lease has not expired.
    """

    place: str | Storage
    interval_ms: int
    policies: RecoveryPolicies
    savepoint: str | tuple[Storage, str] | None = None
    continue_sinks: bool = False
    storage_options: Mapping[str, Any] | None = None
    takeover: bool = False


def checkpoint_settings(
    place: str | PathLike[str] | Storage | None,
    interval: Duration,
    on_unmatched: OnUnmatched,
    on_input_changed: OnDivergence,
    on_divergence: OnDivergence,
    savepoint: str | PathLike[str] | tuple[Storage, str] | None,
    continue_sinks: bool,
    storage_options: Mapping[str, Any] | None,
    takeover: bool,
    on_failure: OnFailure,
    dead_letter_limit: int,
    state_log: bool,
) -> CheckpointSettings | None:
    """Check the arguments of a streaming context about its checkpoint; None without one.

    Raises:
        ArgumentTypeError: the place is none.
        ConfigurationError: an argument has a value that cannot work.
    """
    interval_ms = duration_ms(interval, "checkpoint_interval")
    one_of("on_unmatched", on_unmatched, OnUnmatched)
    one_of("on_input_changed", on_input_changed, OnDivergence)
    one_of("on_divergence", on_divergence, OnDivergence)
    one_of("on_failure", on_failure, OnFailure)
    if on_failure == "skip" and place is None:
        raise ConfigurationError(
            'on_failure="skip" needs a checkpoint.',
            detail="What the batches had read that are given up is kept there.",
            hint="Give checkpoint= a directory.",
        )
    if place is None:
        if savepoint is not None:
            raise ConfigurationError(
                "A program that begins from a savepoint needs a checkpoint of its own.",
                detail="savepoint= was given, and checkpoint= was not.",
                hint="Give checkpoint= a new directory.",
            )
        return None
    if not isinstance(place, (str, PathLike, Storage)) or place == "":
        raise ArgumentTypeError(
            "A checkpoint needs a place.",
            detail=f"checkpoint={shown(place)}.",
            hint="Give the path of a directory that belongs to this program alone.",
        )
    where = place if isinstance(place, Storage) else fspath(place)
    begin = savepoint if savepoint is None or isinstance(savepoint, tuple) else fspath(savepoint)
    if isinstance(begin, str) and _SAVEPOINTS not in begin:
        raise ConfigurationError(
            "A savepoint is named by its place in a checkpoint.",
            detail=f"savepoint={shown(begin)}.",
            hint="Give CHECKPOINT/savepoints/NAME; `millstream checkpoint show CHECKPOINT` lists the names.",
        )
    limit = dead_letter_limit if on_failure == "skip" else 0
    policies = RecoveryPolicies(on_unmatched, on_input_changed, on_divergence, limit, state_log)
    return CheckpointSettings(where, interval_ms, policies, begin, continue_sinks, storage_options, takeover)


def open_durability(
    settings: CheckpointSettings,
    name: str,
    graph: Graph,
    backend: Backend,
    bus: EventBus,
    environment: Environment,
    progress: StartProgress,
) -> Durability:
    """Open the checkpoint of a program, or make it, and take it over.

    Raises:
        FencedError: another process runs with this checkpoint.
        IncompatibleCheckpointError: it does not fit to the program.
        CorruptSegmentError: it is damaged.
        StorageUnavailableError: its storage does not answer.
    """
    from millstream.blocks.opening import open_log
    from millstream.control.durability import Durability
    from millstream.environment.opening import storage_of
    from millstream.recovery.checkpoint import Checkpoint
    from millstream.recovery.identity import Identity
    from millstream.recovery.savepoint import read_savepoint

    def storage_at(place: str) -> Storage:
        return storage_of(place, settings.storage_options, environment)

    progress.tell("reading the journal", 0)
    storage = settings.place if isinstance(settings.place, Storage) else storage_at(settings.place)
    interval_ms = graph.interval_ms
    begin = None
    if settings.savepoint is not None:
        if isinstance(settings.savepoint, str):
            place, _, savepoint = settings.savepoint.rpartition(_SAVEPOINTS)
            origin = storage_at(place)
        else:
            origin, savepoint = settings.savepoint
        begin = origin, read_savepoint(origin, savepoint)

    def identity() -> Identity:
        lineage_id = f"{environment.rng.getrandbits(64):016x}"
        if begin is not None:
            # Before anything is made: the next attempt may name another savepoint, or none.
            begin[1].check_hashing(begin[0])
            earlier = begin[1].identity
            sinks = earlier.sink_lineage_id if settings.continue_sinks else lineage_id
            return Identity(name, lineage_id, earlier.zero_time_ms, sinks)
        zero_ms = int(environment.clock.wall_ms() // interval_ms) * interval_ms
        return Identity(name, lineage_id, zero_ms, sink_lineage_id=lineage_id)

    lock = storage.lock(name, takeover=settings.takeover)
    try:
        checkpoint = Checkpoint.open(
            storage,
            lock,
            name,
            make=identity,
            open_log=lambda storage, folder: open_log(storage, folder, lock, environment=environment),
            tell_read=lambda read, of: progress.tell("reading the journal", read, of),
        )
        if begin is not None and checkpoint.is_new:
            checkpoint.begin_from(*begin, continue_sinks=settings.continue_sinks)
        durability = Durability(
            graph,
            backend,
            checkpoint,
            environment,
            bus,
            interval_ms=settings.interval_ms,
            policies=settings.policies,
            progress=progress,
        )
        durability.take_over()
    except BaseException:
        lock.release()
        raise
    return durability
