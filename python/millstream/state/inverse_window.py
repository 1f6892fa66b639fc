"""The step of an inverse window: running values that gain what enters and lose what leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from millstream.encoding.copies import ATOMS, copied
from millstream.errors import InternalError, shown
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.delta import Snapshot
from millstream.state.rows import StateRows
from millstream.state.step import NO_RECORD, Pair, StateStep, pairs_of
from millstream.state.table import StateTable
from millstream.state.version import ABSENT, UNTOUCHED, Version, check_key

PLAIN_ENTRY = 2
"""A value, and in how many parts its key occurs; a filter adds whether the key is hidden."""


class WindowRows(StateRows):
    """The (key, value) pairs of an inverse window."""

    __slots__ = ()

    def _shown(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        return ((key, entry[0]) for key, entry in pairs)


class FilteredWindowRows(StateRows):
    """The (key, value) pairs of an inverse window that its filter lets through."""

    __slots__ = ()

    def _shown(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        return ((key, entry[0]) for key, entry in pairs if not entry[2])

    def __len__(self) -> int:
        return super().__len__() - self.hidden_count()


@dataclass(frozen=True, slots=True, eq=False)
class InverseWindow(StateStep):
    """Holds for each key its value over the window, and in how many parts of the window the key occurs.

    A part is what one batch put into the window: pairs reduced by key. What leaves is taken away first, oldest part
    first, by `inverse(value, left)`; then what enters is added by `f(value, new)`. A key whose last part leaves is
    gone, without a call of `inverse`; when it enters again in the same slide it keeps its place, with the new value
    alone. Work is proportional to the keys of the parts that enter and leave.

    The filter decides which pairs are shown. State keeps all keys, so a hidden key goes on being right; the
    filter is asked once for each new value of a key, not in every batch.

    Attributes:
        f: associative and commutative; may mutate and return its first argument.
        inverse: undoes `f`: `inverse(f(a, b), b) == a`; may mutate and return its first argument.
        label: the operator, for errors.
        filter: `filter((key, value))` is true for what is shown; None shows all.

    Source:
        Spark's `ReducedWindowedDStream`; differs in that keys that no part of the window has disappear, and in
        that the filter hides keys where Spark drops their state.
    """

    f: Callable[[Any, Any], Any]
    inverse: Callable[[Any, Any], Any]
    label: Label
    filter: Callable[[Pair], Any] | None = None
    initial: None = None

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> StateRows:
        entering, leaving = inputs
        return self.apply(table, entering, leaving, batch)

    def apply(
        self, table: StateTable, entering: Sequence[Iterable[Pair]], leaving: Sequence[Iterable[Pair]], batch: Batch
    ) -> StateRows:
        """Carry the window on by one slide; the table's version of the batch is open.

        Args:
            table: the table of this operator and partition.
            entering: the parts that are new in the window, oldest first; lists of pairs, or dicts.
            leaving: the parts that the window held before and no longer holds, oldest first.
            batch: the batch that runs.

        Returns:
            The (key, value) pairs of the window in order of insertion, as a view of the table.
        """
        version = table.version(batch.time_ms)
        emptied = self._take_away(version, leaving, batch)
        self._add(version, entering, batch)
        for key in emptied:
            if version.values[key][1] == 0:
                version.remove(key)
        if self.filter is None:
            return table.viewed(WindowRows)
        self._hide(version, self.filter, batch)
        return table.viewed(FilteredWindowRows)

    def upgraded(self, value: Any, upgrade: Callable[[Any], Any]) -> Any:
        """Bring the running value up to date; in how many parts the key occurs stays."""
        return upgrade(value[0]), *value[1:]

    def fits(self, table: StateTable) -> bool:
        """Tell whether nothing is known of a filter, and there is none."""
        return self.filter is None and all(len(entry) == PLAIN_ENTRY for _, entry in table.items())

    def fitted(self, snapshot: Snapshot, batch: Batch) -> Snapshot:
        """Ask the filter, which may be another one now, about every key."""
        values, shows = snapshot.values, self.filter
        if shows is None:
            plain = {key: (entry[0], entry[1]) for key, entry in values.items()}
            return replace(snapshot, values=plain, hidden_count=0)
        asked: dict[Any, Any] = {}
        hidden_count = 0
        pair: Any = NO_RECORD
        try:
            for key, entry in values.items():
                pair = key, entry[0]
                is_hidden = not shows(pair)
                hidden_count += is_hidden
                asked[key] = entry[0], entry[1], is_hidden
        except Exception as error:
            raise self.failure(batch, pair, error) from error
        return replace(snapshot, values=asked, hidden_count=hidden_count)

    def _take_away(self, version: Version, leaving: Sequence[Iterable[Pair]], batch: Batch) -> list[Any]:
        """Take the leaving parts away, and list the keys that were left with no part."""
        values, below, inverse = version.values, version.below, self.inverse
        held = values.get
        emptied: list[Any] = []
        record: Any = NO_RECORD
        try:
            for record in pairs_of(leaving):
                key, left = record
                entry = held(key, UNTOUCHED)
                is_shared = entry is UNTOUCHED
                if is_shared:
                    entry = below(key, ABSENT)
                if entry is ABSENT or not entry[1]:
                    raise _unknown(key, self.label, batch)
                value, count = entry[0], entry[1] - 1
                if count == 0:
                    emptied.append(key)
                    values[key] = None, 0
                    continue
                if is_shared and type(value) not in ATOMS:
                    value = copied(value)
                value = inverse(value, left)
                values[key] = copied(value) if value is left else value, count
        except InternalError:
            raise
        except Exception as error:
            raise self.failure(batch, record, error) from error
        return emptied

    def _add(self, version: Version, entering: Sequence[Iterable[Pair]], batch: Batch) -> None:
        values, below, f = version.values, version.below, self.f
        held = values.get
        record: Any = NO_RECORD
        try:
            for record in pairs_of(entering):
                key, new = record
                entry = held(key, UNTOUCHED)
                is_shared = entry is UNTOUCHED
                if is_shared:
                    entry = below(key, ABSENT)
                    if entry is ABSENT and (type(key) not in ATOMS or key != key):
                        check_key(key)
                if entry is ABSENT or not entry[1]:
                    version.count += entry is ABSENT
                    # The part stays, to leave one day: the running value must not be the part's own object.
                    values[key] = new if type(new) in ATOMS else copied(new), 1
                    continue
                value = entry[0]
                if is_shared and type(value) not in ATOMS:
                    value = copied(value)
                value = f(value, new)
                values[key] = copied(value) if value is new else value, entry[1] + 1
        except Exception as error:
            raise self.failure(batch, record, error) from error

    def _hide(self, version: Version, shows: Callable[[Pair], Any], batch: Batch) -> None:
        """Ask the filter about every key that was touched."""
        values, below = version.values, version.below
        hidden_count = version.hidden_count
        pair: Any = NO_RECORD
        try:
            for key, entry in values.items():
                before = below(key, ABSENT)
                if before is not ABSENT and before[2]:
                    hidden_count -= 1
                if entry is ABSENT:
                    continue
                pair = key, entry[0]
                is_hidden = not shows(pair)
                hidden_count += is_hidden
                values[key] = entry[0], entry[1], is_hidden
        except Exception as error:
            raise self.failure(batch, pair, error) from error
        version.hidden_count = hidden_count


def _unknown(key: Any, label: Label, batch: Batch) -> InternalError:
    return InternalError(
        f"{label.operator} was told that a key leaves its window which is not in it.",
        detail=f"The key is {shown(key)}, in batch {batch.time_ms}.",
        hint="Keys whose hash or equality changes while they are held do this too; otherwise please report it.",
    )
