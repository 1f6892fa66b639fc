"""The step of `update_state_by_key`: a function called for every key with its new values and its old state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from millstream.encoding.copies import ATOMS, copied
from millstream.errors import UserCodeError, shown
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.rows import StateRows
from millstream.state.step import NO_RECORD, Pair, StateStep, pairs_of
from millstream.state.table import StateTable
from millstream.state.version import ABSENT, Version, check_key

Form: TypeAlias = Literal["values", "key", "iterator"]
"""What the function is given: `f(values, old)`, `f(key, values, old)`, `f(iterator of (key, values, old))`."""

EXACT = frozenset({int, str, bytes})
"""Types whose equal values cannot be told apart."""

NORMAL_ARGUMENTS: dict[Form, int] = {"values": 2, "key": 3, "iterator": 1}


@dataclass(frozen=True, slots=True, eq=False)
class UpdateStateByKey(StateStep):
    """Calls `f(values, old)` for every key and keeps what it returns; None removes the key.

    `values` are the key's values of the batch in order, an empty list where it has none; `old` is the state,
    or None. Every held key is asked in every batch, in order of insertion, then the new ones in order of
    appearance, so the work is proportional to all keys held, unless `only_updated` is set. A function that
    requires one argument more gets the batch as the last.

    The form "iterator" calls the function once with an iterator of `(key, values, old)`; it gives `(key, new)`
    for each key that stays, at most once; a key that it does not give is removed, and None removes too.

    Attributes:
        f: the user's function, in the form that `form` says.
        label: the operator, for errors.
        form: "values", "key" or "iterator".
        only_updated: ask only keys that have values in the batch; the others stay as they are.
        initial: pairs that the state starts with, by partition.

    Source:
        Spark's `StateDStream`; differs in that a batch without data asks every key too, also from Python.
    """

    f: Callable[..., Any]
    label: Label
    form: Form = "values"
    only_updated: bool = False
    initial: Sequence[Sequence[Pair]] | None = None

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> StateRows:
        return self.apply(table, pairs_of(inputs[0]), batch)

    def apply(self, table: StateTable, rows: Iterable[Pair], batch: Batch) -> StateRows:
        """Update the keys of one partition; the table's version of the batch is open.

        Returns:
            All (key, state) pairs after the batch, in order of insertion.
        """
        version = table.version(batch.time_ms)
        grouped = self._grouped(rows, batch)
        if self.form == "iterator":
            self._update_by_iterator(table, version, grouped, batch)
        else:
            if not self.only_updated:
                self._update_held(_held_before(table, version), version, grouped, batch)
            self._update_with_data(version, grouped, batch)
        return table.rows()

    def _grouped(self, rows: Iterable[Pair], batch: Batch) -> dict[Any, list[Any]]:
        grouped: defaultdict[Any, list[Any]] = defaultdict(list)
        record: Any = NO_RECORD
        try:
            for record in rows:
                key, value = record
                grouped[key].append(value)
        except Exception as error:
            raise self.failure(batch, record, error) from error
        return grouped

    def _bound(self, batch: Batch) -> Callable[..., Any]:
        """Give the function without its batch argument."""
        f = self.f
        if not wants_batch(f, NORMAL_ARGUMENTS[self.form]):
            return f
        if self.form == "values":
            return lambda values, old: f(values, old, batch)
        if self.form == "key":
            return lambda key, values, old: f(key, values, old, batch)
        return lambda triples: f(triples, batch)

    def _update_held(self, held: Iterable[Pair], version: Version, grouped: dict[Any, list[Any]], batch: Batch) -> None:
        """Ask every held key, and take the values that it gets out of `grouped`."""
        f, with_key = self._bound(batch), self.form == "key"
        take, changes = grouped.pop, version.values
        record: Any = NO_RECORD
        try:
            for key, old in held:
                values = take(key, None) or []
                record = key, values
                own = old if type(old) in ATOMS else copied(old)
                new = f(key, values, own) if with_key else f(values, own)
                if new is None:
                    version.remove(key)
                # Why not by identity alone: `old + 0` is a new object, and every key held would go to the state log.
                elif new is not old and (type(new) not in EXACT or type(new) is not type(old) or new != old):
                    changes[key] = new
        except Exception as error:
            raise self.failure(batch, record, error) from error

    def _update_with_data(self, version: Version, grouped: dict[Any, list[Any]], batch: Batch) -> None:
        f, with_key = self._bound(batch), self.form == "key"
        peek, changes = version.peek, version.values
        record: Any = NO_RECORD
        try:
            for record in grouped.items():
                key, values = record
                old = peek(key)
                is_new = old is ABSENT
                if is_new:
                    check_key(key)
                    old = None
                own = old if type(old) in ATOMS else copied(old)
                new = f(key, values, own) if with_key else f(values, own)
                if new is None:
                    version.remove(key)
                elif new is not old:
                    changes[key] = new
                    version.count += is_new
        except Exception as error:
            raise self.failure(batch, record, error) from error

    def _update_by_iterator(
        self, table: StateTable, version: Version, grouped: dict[Any, list[Any]], batch: Batch
    ) -> None:
        offered = _Offered(version, grouped, [] if self.only_updated else _held_before(table, version))
        answered: dict[Any, None] = {}
        try:
            for answer in self._bound(batch)(iter(offered)):
                key, new = answer
                if new is None:
                    continue
                if key not in grouped and version.peek(key) is ABSENT:
                    raise self._strange_key(key, batch)
                answered[key] = None
                if version.below(key, ABSENT) is not new:
                    version.put(key, new)
        except Exception as error:
            if type(error) is UserCodeError:
                raise
            raise self.failure(batch, offered.last, error) from error
        for key in offered.asked():
            if key not in answered:
                version.remove(key)

    def _strange_key(self, key: Any, batch: Batch) -> UserCodeError:
        return UserCodeError(
            f"A function given to {self.label.operator} gave a key that it was not given.",
            operator=self.label.operator,
            site=self.label.site,
            batch_time_ms=batch.time_ms,
            record=shown(key),
            detail=f"The key is {shown(key)}; the state of another key may belong to another partition.",
            hint="Give each key as it came; change keys by map before this operator.",
        )


class _Offered:
    """The triples that the iterator form is given, and the last of them that was taken."""

    def __init__(self, version: Version, grouped: dict[Any, list[Any]], held: Iterable[Pair]) -> None:
        self.version = version
        self.grouped = grouped
        self.held = held
        self.last: Pair = (None, [])

    def __iter__(self) -> Iterator[tuple[Any, list[Any], Any]]:
        grouped = self.grouped
        held_keys = set()
        for key, old in self.held:
            values = grouped.get(key)
            if values is not None:
                held_keys.add(key)
            self.last = key, values or []
            yield key, values or [], copied(old)
        for key, values in grouped.items():
            if key in held_keys:
                continue
            self.last = key, values
            old = self.version.peek(key)
            if old is ABSENT:
                check_key(key)
            yield key, values, None if old is ABSENT else copied(old)

    def asked(self) -> list[Any]:
        """List the keys that the function had to answer for."""
        return [*(key for key, _ in self.held), *self.grouped]


def _held_before(table: StateTable, version: Version) -> Iterable[Pair]:
    """Give the pairs held when the batch began, initial ones included."""
    return list(table.rows()) if version.values else table.rows_before()
