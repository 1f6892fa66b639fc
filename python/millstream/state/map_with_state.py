"""The step of `map_with_state`: a function called for every record with the state of its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from millstream.encoding.copies import ATOMS, copied
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.delta import Snapshot
from millstream.state.state import REMOVED, UNCHANGED, UPDATED, State
from millstream.state.step import NO_RECORD, Pair, StateStep, pairs_of
from millstream.state.table import StateTable
from millstream.state.version import ABSENT, UNTOUCHED, Version, check_key

NORMAL_ARGUMENTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class MapWithState(StateStep):
    """Calls `f(key, value, state)` once for each record, in order, and gives what it returns.

    A call that returns None gives no record. With a timeout, a key that was idle for strictly longer, counted in
    batch time, has its last call, with the value None and `state.is_timing_out()`, in the first batch where that is
    so. A batch's records come before its timeouts, so a record keeps its key alive. Every record of a key that has
    a state after the call restarts the key's idle time, whether the function called `update` or not.

    Work is proportional to the records and the timeouts of the batch, not to the keys held.

    Attributes:
        f: `f(key, value | None, state)`, or with the batch as fourth argument when it requires four.
        label: the operator, for errors.
        timeout_ms: idle time, milliseconds, > 0, or None.
        initial: pairs that the state starts with, by partition; their idle time starts with the first batch.

    Source:
        Spark's `MapWithStateDStream`; differs in that timeouts fire when they are due, not at the next
        checkpoint (by default every tenth batch).
    """

    f: Callable[..., Any]
    label: Label
    timeout_ms: int | None = None
    initial: Sequence[Sequence[Pair]] | None = None

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> list[Any]:
        return self.apply(table, pairs_of(inputs[0]), batch)

    def apply(self, table: StateTable, rows: Iterable[Pair], batch: Batch) -> list[Any]:
        """Map the pairs of one partition; the table's version of the batch is open."""
        f, call = self.f, self.f
        if wants_batch(f, NORMAL_ARGUMENTS):

            def call(key: Any, value: Any, state: Any) -> Any:
                return f(key, value, state, batch)

        version = table.version(batch.time_ms)
        if self.timeout_ms is not None:
            rows = rows if isinstance(rows, list) else list(rows)
        state: State[Any] = State()
        mapped: list[Any] = []
        self._map_records(version, rows, call, state, mapped, batch)
        if self.timeout_ms is not None:
            version.touched.extend(map(itemgetter(0), rows))
            self._time_out(version, table.due(batch.time_ms - self.timeout_ms), call, state, mapped, batch)
        state._close()
        return mapped

    def fits(self, table: StateTable) -> bool:
        """Tell whether each key has an idle time if, and only if, there is a timeout."""
        return table.timed_count == (0 if self.timeout_ms is None else len(table))

    def fitted(self, snapshot: Snapshot, batch: Batch) -> Snapshot:
        """Keep idle times where there is a timeout; a key that has none yet is idle from the newest batch on."""
        if self.timeout_ms is None:
            return replace(snapshot, idle=())
        values = snapshot.values
        idle = tuple((touched_ms, tuple(key for key in keys if key in values)) for touched_ms, keys in snapshot.idle)
        if sum(len(keys) for _, keys in idle) < len(values):
            known = {key for _, keys in idle for key in keys}
            idle = (*idle, (batch.time_ms, tuple(key for key in values if key not in known)))
        return replace(snapshot, idle=idle)

    def _map_records(
        self,
        version: Version,
        rows: Iterable[Pair],
        call: Callable[..., Any],
        state: State[Any],
        mapped: list[Any],
        batch: Batch,
    ) -> None:
        values, below = version.values, version.below
        held, emit = values.get, mapped.append
        added_count = 0
        record: Any = NO_RECORD
        try:
            for record in rows:
                key, value = record
                current = held(key, UNTOUCHED)
                state._shared = current is UNTOUCHED
                if current is UNTOUCHED:
                    current = below(key, ABSENT)
                    if current is ABSENT and (type(key) not in ATOMS or key != key):
                        check_key(key)
                state._key = key
                state._value = current
                result = call(key, value, state)
                if result is not None:
                    emit(result)
                if state._change == UPDATED:
                    state._change = UNCHANGED
                    new = state._value
                    if current is ABSENT:
                        added_count += 1
                        if key in values:
                            del values[key]  # It was removed in this batch, and comes again as the last.
                    # A record must not be changed when the state that was made of it is mutated later.
                    values[key] = copied(new) if new is value else new
                elif state._change == REMOVED:
                    state._change = UNCHANGED
                    version.remove(key)
        except Exception as error:
            raise self.failure(batch, record, error) from error
        version.count += added_count

    def _time_out(
        self,
        version: Version,
        due: list[Any],
        call: Callable[..., Any],
        state: State[Any],
        mapped: list[Any],
        batch: Batch,
    ) -> None:
        state._timing_out = True
        key: Any = None
        try:
            for key in due:
                state._key = key
                state._value = version.peek(key)
                state._shared = True
                result = call(key, None, state)
                if result is not None:
                    mapped.append(result)
                version.remove(key)
        except Exception as error:
            raise self.failure(batch, (key, None), error) from error
