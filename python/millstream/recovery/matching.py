"""Matching: which table of a program goes on with which table of a checkpoint, after the program was changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from millstream.errors import ConfigurationError, IncompatibleCheckpointError
from millstream.state.table_identity import TableIdentity

OnUnmatched: TypeAlias = Literal["fail", "drop", "start_empty"]
ON_UNMATCHED: tuple[OnUnmatched, ...] = ("fail", "drop", "start_empty")


@dataclass(frozen=True, slots=True)
class Matching:
    """What becomes of the tables of a checkpoint.

    Attributes:
        pairs: by table of the program the stored table with which it goes on.
        dropped: stored tables that are given up, in the stored order. The running values of a window whose parts go on
            may be among them: they are made of the parts again.
        started_empty: tables of the program without a stored one, in the program's order.
    """

    pairs: Mapping[str, str]
    dropped: tuple[str, ...]
    started_empty: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Operator:
    """The tables of one operator: one, or the running values of a window and its parts."""

    tables: list[TableIdentity]
    partner: _Operator | None = None
    verdict: str = ""

    @property
    def first(self) -> TableIdentity:
        return self.tables[0]

    @property
    def name(self) -> str | None:
        return self.first.name

    def __str__(self) -> str:
        first = self.first
        called = f"{first.operator} {first.name!r}" if first.name is not None else f"{first.operator} [{first.table}]"
        return f"{called} ({first.site})" if first.site else called


@dataclass(slots=True)
class _Sides:
    stored: list[_Operator]
    program: list[_Operator]
    is_ambiguous: bool = field(default=False)

    def pair(self, stored: _Operator, program: _Operator) -> None:
        stored.partner, program.partner = program, stored


def match_tables(
    stored: Sequence[TableIdentity], program: Sequence[TableIdentity], on_unmatched: OnUnmatched = "fail"
) -> Matching:
    """Match the tables of a checkpoint with those of a program.

    An operator with a name goes on with the stored operator of that name or, where none is stored, with the one that
    is named by `renamed_from`: by its name or, for one that had none, by the id that `checkpoint show` gives. That
    wins over another operator that has got the old name. Operators without a name go on only while their whole list
    is as it was: the same operators in the same order. A window may gain or lose its inverse function.

    Operators that are new start empty, and that is fine as long as no stored state is left over. Where state would be
    left over, the option decides:

    - `fail`: nothing is lost silently: the error shows both sides.
    - `drop`: state of operators that the program has no longer is dropped. It still fails where it is not certain
      whose state it is: operators without a name whose list has changed, a name that is now another operator.
    - `start_empty`: whatever cannot be matched with certainty starts empty, and the state left over is dropped.

    Args:
        stored: the tables of the checkpoint, in the order in which their program had them.
        program: the tables of this program, in its order.
        on_unmatched: what happens to state that no operator claims.

    Returns:
        Which goes on with which.

    Raises:
        IncompatibleCheckpointError: state would be lost, or it is not certain whose it is.
        ConfigurationError: two operators of the program claim the same stored one, or there is no such option.

    Example:
        >>> counts = TableIdentity("counts", "map_with_state", "counts", "state", 4, "plain", None, "app.py:7")
        >>> sums = TableIdentity("sums", "map_with_state", "sums", "state", 2, "plain", "counts", "app.py:7")
        >>> match_tables([counts], [sums]).pairs
        {'sums': 'counts'}
    """
    if on_unmatched not in ON_UNMATCHED:
        raise ConfigurationError(
            "There is no such way to treat unmatched state.",
            detail=f"on_unmatched={on_unmatched!r}.",
            hint="Choose one of " + ", ".join(map(repr, ON_UNMATCHED)) + ".",
        )
    sides = _Sides(_operators(stored), _operators(program))
    _match_renamed(sides)
    _match_named(sides)
    _match_unnamed(sides)
    lost = [operator for operator in sides.stored if operator.partner is None]
    for operator in lost:
        operator.verdict = operator.verdict or "not in the program: its state would be lost"
    if lost and (on_unmatched == "fail" or (on_unmatched == "drop" and sides.is_ambiguous)):
        raise _refusal(sides, on_unmatched)
    return _matching(sides)


def _operators(tables: Iterable[TableIdentity]) -> list[_Operator]:
    operators: list[_Operator] = []
    for table in tables:
        before = operators[-1].tables if operators else []
        if table.kind == "window" and len(before) == 1 and before[0].kind == "running" and _belongs(table, before[0]):
            before.append(table)
        else:
            operators.append(_Operator([table]))
    return operators


def _belongs(parts: TableIdentity, running: TableIdentity) -> bool:
    return parts.table.startswith(running.table) and (parts.name, parts.site) == (running.name, running.site)


def _match_renamed(sides: _Sides) -> None:
    """Match operators whose own name is not stored with the one that they say they were."""
    names = {operator.name for operator in sides.stored if operator.name is not None}
    known = {operator.first.table: operator for operator in sides.stored}
    known.update({operator.name: operator for operator in sides.stored if operator.name is not None})
    for operator in sides.program:
        was = operator.first.renamed_from
        if was is None or operator.name in names or was not in known:
            continue
        stored = known[was]
        if stored.partner is not None:
            raise ConfigurationError(
                f"Two operators say that they were {was!r}.",
                detail=f"{stored.partner} and {operator}.",
                hint="Leave renamed_from= out of the one that is new.",
            )
        _pair_if_alike(sides, stored, operator)


def _match_named(sides: _Sides) -> None:
    named = {operator.name: operator for operator in sides.stored}
    for operator in sides.program:
        if operator.name is None or operator.name not in named or operator.partner is not None:
            continue
        if named[operator.name].partner is None:
            _pair_if_alike(sides, named[operator.name], operator)


def _match_unnamed(sides: _Sides) -> None:
    stored = [operator for operator in sides.stored if operator.name is None and operator.partner is None]
    program = [operator for operator in sides.program if operator.name is None]
    if [operator.first.operator for operator in stored] == [operator.first.operator for operator in program]:
        for was, operator in zip(stored, program, strict=True):
            _pair_if_alike(sides, was, operator)
    elif stored and program:
        sides.is_ambiguous = True
        for operator in [*stored, *program]:
            operator.verdict = "has no name, and the list of operators without a name is another one"


def _pair_if_alike(sides: _Sides, stored: _Operator, program: _Operator) -> None:
    both_by_key = stored.first.kind == program.first.kind == "state"
    if both_by_key or stored.first.operator == program.first.operator:
        sides.pair(stored, program)
        return
    sides.is_ambiguous = True
    stored.verdict = program.verdict = "is another operator now, whose state has another form"


def _matching(sides: _Sides) -> Matching:
    pairs: dict[str, str] = {}
    for operator in sides.program:
        if operator.partner is not None:
            by_kind = {table.kind: table.table for table in operator.partner.tables}
            pairs.update({table.table: by_kind[table.kind] for table in operator.tables if table.kind in by_kind})
    taken = set(pairs.values())
    every_stored = [table.table for operator in sides.stored for table in operator.tables]
    every_table = [table.table for operator in sides.program for table in operator.tables]
    return Matching(
        pairs,
        tuple(table for table in every_stored if table not in taken),
        tuple(table for table in every_table if table not in pairs),
    )


def _refusal(sides: _Sides, on_unmatched: OnUnmatched) -> IncompatibleCheckpointError:
    rows = [("in the checkpoint", "in the program", "verdict")]
    for operator in sides.stored:
        partner = "-" if operator.partner is None else str(operator.partner)
        rows.append((str(operator), partner, "goes on" if operator.partner is not None else operator.verdict))
    new = [operator for operator in sides.program if operator.partner is None]
    rows.extend(("-", str(operator), operator.verdict or "is new") for operator in new)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"  {row[0]:<{widths[0]}} | {row[1]:<{widths[1]}} | {row[2]}" for row in rows]
    drop = ", on_unmatched='drop' to drop the state of operators that are gone" if on_unmatched == "fail" else ""
    return IncompatibleCheckpointError(
        "The stateful operators of the program are not those of the checkpoint.",
        detail="\n".join(["", *lines]),
        hint="Give operators the name= that they have in the checkpoint; where a name changed, or one had no name but "
        f"an id in brackets, say so by state=ms.StateOptions(renamed_from=...){drop}, or on_unmatched='start_empty' "
        "to start what cannot be matched without state.",
    )
