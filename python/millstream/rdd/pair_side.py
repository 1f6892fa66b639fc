"""Joining pairs with a table of pairs that every executor holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millstream.errors import MillstreamError
from millstream.model.broadcast import Broadcast
from millstream.model.label import Label
from millstream.rdd.failures import pairs_refused


class PairSide:
    """Values by key.

    Args:
        pairs: a mapping, or pairs; keys may come more than once.
        label: the operator that asks, for errors.

    Raises:
        ArgumentTypeError: what was given is not made of pairs, or a key can be none.

    Example:
        >>> side = PairSide([("pen", 2), ("ink", 5), ("ink", 6)], Label("join", None, "app.py:1"))
        >>> side.one, side.many
        ({'pen': 2, 'ink': 6}, {'pen': [2], 'ink': [5, 6]})
    """

    def __init__(self, pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]], label: Label) -> None:
        self.many: dict[Any, list[Any]] | None = None
        if isinstance(pairs, Mapping):
            self.one: dict[Any, Any] = dict(pairs)
            return
        records = list(pairs)
        try:
            if any(type(record) is not tuple or len(record) != 2 for record in records):
                raise ValueError("not a pair")
            self.one = dict(records)
        except (TypeError, ValueError) as error:
            raise pairs_refused(label, error, records) from error
        if len(self.one) < len(records):
            self.many = {}
            for key, value in records:
                self.many.setdefault(key, []).append(value)


@dataclass(frozen=True, slots=True, eq=False)
class PairJoin:
    """Joins the pairs of a partition with a side.

    Args:
        side: what they are joined with.
        keeps_all: keep pairs without a partner, with None.
        label: the operator, for errors.
    """

    side: Broadcast[PairSide]
    keeps_all: bool
    label: Label

    def __call__(self, records: Iterator[Any]) -> Iterable[Any]:
        """Give `(key, (value, partner))` for each pair and partner."""
        side = self.side.value
        pairs = list(records)
        try:
            if side.many is not None:
                absent = [None] if self.keeps_all else []
                get_all = side.many.get
                return [(key, (value, other)) for key, value in pairs for other in get_all(key, absent)]
            one = side.one
            if self.keeps_all:
                get = one.get
                return [(key, (value, get(key))) for key, value in pairs]
            return [(key, (value, one[key])) for key, value in pairs if key in one]
        except MillstreamError:
            raise
        except (TypeError, ValueError) as error:
            raise pairs_refused(self.label, error, pairs) from error
