"""Decisions as the bytes of a log's records, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from millstream.blocks.log import LogRecord
from millstream.encoding.codec import decode, encode
from millstream.errors import IncompatibleCheckpointError
from millstream.model.positions import PositionChange
from millstream.recovery.decisions import (
    BatchDone,
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    CheckpointWritten,
    Decision,
    Digest,
    DriverStarted,
    InputPlan,
    SinksOpened,
    SplitPlan,
    StateDelta,
)

D = TypeVar("D", bound=Decision)

_KINDS: dict[type[Any], int] = {
    DriverStarted: 1,
    BatchPlanned: 2,
    StateDelta: 3,
    BatchPrepared: 4,
    BatchDone: 5,
    CheckpointWritten: 6,
    SinksOpened: 7,
    BatchSkipped: 8,
}
"""The kind of each decision's record; a number is never given to another decision."""

_DECISIONS = {kind: decision for decision, kind in _KINDS.items()}
_FIELDS = {decision: tuple(field.name for field in fields(decision)) for decision in _KINDS}


def record_of(decision: Decision) -> tuple[int, bytes]:
    """Give the kind and the bytes of a decision: a map of its fields by name.

    Example:
        >>> kind, data = record_of(BatchDone(1_000))
        >>> kind, decision_of(LogRecord(7, kind, data))
        (5, BatchDone(time_ms=1000))
    """
    return _KINDS[type(decision)], encode(fields_of(decision))


def decision_of(record: LogRecord) -> Decision:
    """Give the decision of a record; fields that it does not have take their defaults.

    Raises:
        IncompatibleCheckpointError: a kind that this version does not know.
    """
    kind = _DECISIONS.get(record.kind)
    if kind is None:
        raise IncompatibleCheckpointError(
            "The journal holds a decision of a newer version of millstream.",
            detail=f"Record {record.number} is of kind {record.kind}.",
            hint="Start the program with the version that wrote the checkpoint, or a newer one.",
        )
    decision: Decision = decision_from(kind, decode(record.data))
    return decision


def fields_of(decision: Decision) -> dict[str, Any]:
    """Give the fields of a decision as plain data."""
    form = _FORMS.get(type(decision))
    if form is not None:
        return form(decision)
    return {name: getattr(decision, name) for name in _FIELDS[type(decision)]}


def decision_from(kind: type[D], values: Mapping[str, Any]) -> D:
    """Give the decision that has these fields; those that it does not know are left out."""
    known = {name: value for name, value in values.items() if name in _FIELDS[kind]}
    restore = _RESTORE.get(kind)
    return kind(**(known if restore is None else restore(known)))


def _planned_form(planned: BatchPlanned) -> dict[str, Any]:
    return {
        "time_ms": planned.time_ms,
        "start_ms": planned.start_ms,
        "end_ms": planned.end_ms,
        "inputs": [
            {
                "input": plan.input,
                "blocks": plan.blocks,
                "splits": [
                    {"data": split.data, "records": split.records, "description": split.description}
                    for split in plan.splits
                ]
                or (),
                **_position_form(plan.position),
            }
            for plan in planned.inputs
        ]
        or (),
        "attempt": planned.attempt,
    }


def _position_form(position: Any) -> dict[str, Any]:
    if type(position) is PositionChange:
        return {"position": None, "change": {"set": position.set, "gone": position.gone}}
    return {"position": position}


def _prepared_form(prepared: BatchPrepared) -> dict[str, Any]:
    return {
        "time_ms": prepared.time_ms,
        "attempt": prepared.attempt,
        "inputs": _digest_forms(prepared.inputs),
        "state": None if prepared.state is None else _digest_form(prepared.state),
        "outputs": _digest_forms(prepared.outputs),
    }


def _done_form(done: BatchDone) -> dict[str, Any]:
    return {"time_ms": done.time_ms, "learnt": done.learnt} if done.learnt else {"time_ms": done.time_ms}


def _digest_forms(digests: Mapping[str, tuple[Digest, ...]]) -> dict[str, Any]:
    return {name: [_digest_form(part) for part in parts] or () for name, parts in digests.items()}


def _digest_form(digest: Digest) -> dict[str, Any]:
    return {"count": digest.count, "checksum": digest.checksum}


_FORMS: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    BatchPlanned: _planned_form,
    BatchPrepared: _prepared_form,
    BatchDone: _done_form,
}
"""Decisions with parts. Why written out: three of these a batch, in all of which are a handful of values."""


def _planned(values: dict[str, Any]) -> dict[str, Any]:
    inputs = tuple(
        InputPlan(
            plan["input"],
            tuple(plan["blocks"]),
            tuple(SplitPlan(**split) for split in plan["splits"]),
            _changed(plan["change"]) if "change" in plan else plan["position"],
        )
        for plan in values["inputs"]
    )
    return {**values, "inputs": inputs}


def _changed(values: dict[str, Any]) -> PositionChange:
    return PositionChange(values["set"], tuple(values["gone"]))


def _prepared(values: dict[str, Any]) -> dict[str, Any]:
    state = values.get("state")
    return {
        **values,
        "inputs": _digests(values.get("inputs", {})),
        "state": None if state is None else Digest(**state),
        "outputs": _digests(values.get("outputs", {})),
    }


def _digests(values: dict[str, Any]) -> dict[str, tuple[Digest, ...]]:
    return {name: tuple(Digest(**part) for part in parts) for name, parts in values.items()}


_RESTORE: dict[type[Any], Callable[[dict[str, Any]], dict[str, Any]]] = {
    BatchPlanned: _planned,
    BatchPrepared: _prepared,
}
