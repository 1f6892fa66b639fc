"""`millstream checkpoint`: what a checkpoint holds, said to people, and what they do to it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from millstream.cli.exit_status import ExitStatus
from millstream.context.streaming_context import StreamingContext
from millstream.environment.opening import storage_of
from millstream.errors import IncompatibleCheckpointError, LifecycleError
from millstream.graph.durable_state import DurableState
from millstream.recovery import inspection
from millstream.recovery.inspection import CheckpointView, inspect, stored_tables
from millstream.recovery.maintenance import pin, prune, skip_batch
from millstream.recovery.matching import match_tables
from millstream.state.table_identity import TableIdentity


def show(place: str) -> ExitStatus:
    """Print what a checkpoint holds."""
    for line in _described(inspect(storage_of(place))):
        print(line)
    return ExitStatus.OK


def verify(place: str) -> ExitStatus:
    """Read every byte of a checkpoint and say that it is whole; damage is an error that names the file."""
    view = inspection.verify(storage_of(place))
    keys = sum(table.keys for table in view.tables)
    print(
        f"{view.place} is whole: {keys:,} keys in {len(view.tables)} tables, "
        f"{len(view.savepoints)} savepoints, {_size(view.log_bytes + view.state_bytes)}."
    )
    return ExitStatus.OK


def diff(place: str, app: Path) -> ExitStatus:
    """Compare the state of a checkpoint with the operators of a program, which is put together and not started."""
    view = inspect(storage_of(place))
    try:
        matching = match_tables(stored_tables(view.history), _tables_of(app))
    except IncompatibleCheckpointError as error:
        print(error)
        return ExitStatus.FAILED
    for table, stored in matching.pairs.items():
        print(f"{table}: goes on" if table == stored else f"{table}: goes on with the state of {stored}")
    for table in matching.started_empty:
        print(f"{table}: is new and starts empty")
    for table in matching.dropped:
        print(f"{table}: is made anew of what it was made of")
    return ExitStatus.OK


def save(place: str, name: str) -> ExitStatus:
    """Pin the newest checkpoint under a name."""
    savepoint = pin(storage_of(place), name)
    print(f"{name}: the state up to the batch {_time(savepoint.written.time_ms)}")
    print(f'Start from it with savepoint="{place.rstrip("/")}/savepoints/{name}" and a new checkpoint=.')
    return ExitStatus.OK


def skip(place: str, batch: int, reason: str) -> ExitStatus:
    """Give up the batch that waits to be run again."""
    skipped = skip_batch(storage_of(place), batch, reason)
    print(f"The batch {_time(skipped.time_ms)} is skipped; what it had read is in {skipped.dead_letter}.")
    return ExitStatus.OK


def tidy(place: str) -> ExitStatus:
    """Remove files that nothing needs."""
    removed = prune(storage_of(place))
    print("\n".join(f"removed {name}" for name in removed) or "There was nothing to remove.")
    return ExitStatus.OK


class _PutTogether(BaseException):
    """Ends a program at the moment at which it would start."""

    def __init__(self, tables: tuple[TableIdentity, ...]) -> None:
        self.tables = tables


def _tables_of(app: Path) -> tuple[TableIdentity, ...]:
    def capture(ssc: StreamingContext) -> None:
        raise _PutTogether(DurableState(ssc.program.graph, ssc.context.backend).tables)

    forget = StreamingContext.on_start(capture)
    arguments, paths = sys.argv, sys.path
    sys.argv, sys.path = [str(app)], [str(app.resolve().parent), *paths]
    try:
        runpy.run_path(str(app), run_name="__main__")
    except _PutTogether as program:
        return program.tables
    finally:
        sys.argv, sys.path = arguments, paths
        forget()
    raise LifecycleError(
        f"{app} ended without starting a stream.",
        detail="It made no StreamingContext, or did not call start() or run() on it.",
        hint="Give the file of a streaming program.",
    )


def _described(view: CheckpointView) -> Iterable[str]:
    history, identity = view.history, view.identity
    yield f"{view.place}"
    yield f"  program      {identity.name}, lineage {identity.lineage_id}, {history.epoch} starts"
    yield f"  done         {_time(history.done_ms)}"
    if history.undone is not None:
        yield f"  waits        the batch {_time(history.undone.time_ms)}, planned and not done"
    newest = history.checkpoint
    yield f"  checkpoint   {'none yet' if newest is None else _time(newest.time_ms)}"
    yield f"  size         logs {_size(view.log_bytes)}, state files {_size(view.state_bytes)}"
    yield from _section("inputs", _inputs(view))
    yield from _section("state", [_table(table.identity, table.keys, table.size_bytes) for table in view.tables])
    yield from _section("savepoints", [f"{point.name}  {_time(point.written.time_ms)}" for point in view.savepoints])
    letters = [f"{_time(letter.planned.time_ms)}  {letter.error}" for letter in view.dead_letters]
    yield from _section("given up", letters)


def _section(name: str, lines: Sequence[str]) -> Iterable[str]:
    if lines:
        yield f"  {name}"
        yield from (f"    {line}" for line in lines)


def _inputs(view: CheckpointView) -> list[str]:
    positions = view.history.positions
    names = dict.fromkeys([*positions, *view.waiting, *(view.history.program or {}).get("inputs", ())])
    lines = []
    for name in names:
        position = f"goes on at {_short(positions[name])}" if name in positions else "pushed"
        waiting = f", {view.waiting[name]:,} records wait for a batch" if name in view.waiting else ""
        lines.append(f"{name}  {position}{waiting}")
    return lines


def _table(identity: TableIdentity, keys: int, size_bytes: int) -> str:
    what = f"{identity.table}  {identity.operator}, {keys:,} keys, {_size(size_bytes)}, "
    what += f"{identity.partitions} partition{'s' * (identity.partitions != 1)}, version {identity.version}"
    if identity.name is None:
        what += ", no name="
    if identity.codec == "pickle":
        what += ", pickled: may not survive an upgrade of Python, libraries or classes"
    return what


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _POSITION_CHARACTERS else f"{text[:_POSITION_CHARACTERS]}…"


_POSITION_CHARACTERS = 100


def _time(time_ms: int | None) -> str:
    if time_ms is None:
        return "nothing yet"
    return f"{time_ms} ({datetime.fromtimestamp(time_ms / 1000.0, UTC).isoformat(timespec='milliseconds')})"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1_000:
            return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.1f} GB"
