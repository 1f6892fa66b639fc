"""The checkpoint of a program: its settings, and how it is opened at the start."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from millstream.environment.environment import Environment
from millstream.environment.storage import Storage
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.execution.backend import Backend
from millstream.graph.graph import Graph
from millstream.model.durations import Duration, duration_ms
from millstream.observe.event_bus import EventBus

if TYPE_CHECKING:
    from millstream.control.durability import Durability

OnUnmatched: TypeAlias = Literal["fail", "drop", "start_empty"]
OnDivergence: TypeAlias = Literal["fail", "accept"]


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Where a program is kept, and how.

    Attributes:
        place: a path, or a storage.
        interval_ms: pause between two checkpoints.
        on_unmatched: about stored state that no operator claims.
        on_input_changed: when a batch that runs again reads other records.
        on_divergence: when a batch that runs again comes to another state.
    """

    place: str | Storage
    interval_ms: int
    on_unmatched: OnUnmatched
    on_input_changed: OnDivergence
    on_divergence: OnDivergence


def checkpoint_settings(
    place: str | PathLike[str] | Storage | None,
    interval: Duration,
    on_unmatched: OnUnmatched,
    on_input_changed: OnDivergence,
    on_divergence: OnDivergence,
) -> CheckpointSettings | None:
    """Check the arguments of a streaming context about its checkpoint; None without one.

    Raises:
        ArgumentTypeError: the place is none.
        ConfigurationError: an argument has a value that cannot work.
    """
    interval_ms = duration_ms(interval, "checkpoint_interval")
    _one_of(on_unmatched, OnUnmatched, "on_unmatched")
    _one_of(on_input_changed, OnDivergence, "on_input_changed")
    _one_of(on_divergence, OnDivergence, "on_divergence")
    if place is None:
        return None
    if not isinstance(place, (str, PathLike, Storage)) or place == "":
        raise ArgumentTypeError(
            "A checkpoint needs a place.",
            detail=f"checkpoint={shown(place)}.",
            hint="Give the path of a directory that belongs to this program alone.",
        )
    where = place if isinstance(place, Storage) else fspath(place)
    return CheckpointSettings(where, interval_ms, on_unmatched, on_input_changed, on_divergence)


def _one_of(value: str, choices: object, argument: str) -> None:
    if value not in get_args(choices):
        raise ConfigurationError(
            f"{argument} has a value that it cannot have.",
            detail=f"{argument}={shown(value)}.",
            hint="Give " + " or ".join(f'"{choice}"' for choice in get_args(choices)) + ".",
        )


def open_durability(
    settings: CheckpointSettings, name: str, graph: Graph, backend: Backend, bus: EventBus, environment: Environment
) -> Durability:
    """Open the checkpoint of a program, or make it, and take it over.

    Raises:
        FencedError: another process runs with this checkpoint.
        IncompatibleCheckpointError: it does not fit to the program.
        CorruptSegmentError: it is damaged.
        StorageUnavailableError: its storage does not answer.
    """
    from millstream.blocks.segment_log import SegmentLog
    from millstream.control.durability import Durability, RecoveryPolicies
    from millstream.environment.local_storage import LocalStorage
    from millstream.recovery.checkpoint import Checkpoint
    from millstream.recovery.identity import Identity

    storage = settings.place if isinstance(settings.place, Storage) else LocalStorage(settings.place)
    interval_ms = graph.interval_ms

    def identity() -> Identity:
        lineage_id = f"{environment.rng.getrandbits(64):016x}"
        zero_ms = int(environment.clock.wall_ms() // interval_ms) * interval_ms
        return Identity(name, lineage_id, zero_ms, sink_lineage_id=lineage_id)

    lock = storage.lock(name)
    try:
        checkpoint = Checkpoint.open(storage, lock, name, make=identity, open_log=SegmentLog)
        durability = Durability(
            graph,
            backend,
            checkpoint,
            environment,
            bus,
            interval_ms=settings.interval_ms,
            policies=RecoveryPolicies(settings.on_unmatched, settings.on_input_changed, settings.on_divergence),
        )
        durability.take_over()
    except BaseException:
        lock.release()
        raise
    return durability
