"""Running a step batch after batch with failed attempts, batches run ahead and lost workers in between."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from millstream.errors import UserCodeError
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.state.replica import StateReplica
from millstream.state.step import StateStep
from millstream.state.store import StateStore

LABEL = Label("operator", "counts", "app.py:7")
BATCH_MS = 1_000


class InjectedError(Exception):
    """What a function under test fails with."""


class Faulty:
    """A function that fails after a number of calls, when its work, and its harm, is done."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.calls_left: int | None = None

    def __call__(self, *args: Any) -> Any:
        result = self.f(*args)
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise InjectedError
        return result


@dataclass(frozen=True)
class Trouble:
    """What goes wrong around one batch.

    Attributes:
        failures: for each failed attempt, after how many calls of the user's functions it fails.
        runs_ahead: the next batch runs over this one, and both are rolled back.
        loses_worker: the table is made anew from its replica after the batch.
        lag: how many batches stay uncommitted.
        renews: the replica gets a fresh snapshot.
    """

    failures: tuple[int, ...] = ()
    runs_ahead: bool = False
    loses_worker: bool = False
    lag: int = 0
    renews: bool = False


troubles = st.builds(
    Trouble,
    failures=st.lists(st.integers(0, 6), max_size=2).map(tuple),
    runs_ahead=st.booleans(),
    loses_worker=st.booleans(),
    lag=st.integers(0, 2),
    renews=st.booleans(),
)

plans = st.lists(troubles, min_size=1, max_size=4)
"""The trouble of each batch, over and over."""


class Attempts:
    """One table that a step works on; `faults` are the functions of the step that can fail."""

    def __init__(self, step: StateStep, *faults: Faulty) -> None:
        self.step = step
        self.faults = faults
        self.store = StateStore()
        self.replica = StateReplica()
        self.open: list[int] = []

    def run_all(self, inputs: Sequence[Any], plan: Sequence[Trouble]) -> list[Any]:
        """Run every batch with its trouble, and give what the attempt that counted returned for each."""
        outputs = []
        for index, batch_input in enumerate(inputs):
            trouble = plan[index % len(plan)]
            now_ms = (index + 1) * BATCH_MS
            for calls in trouble.failures:
                self._fail(batch_input, now_ms, calls)
            if trouble.runs_ahead and index + 1 < len(inputs):
                self._run(batch_input, now_ms)
                self._run(inputs[index + 1], now_ms + BATCH_MS)
                self.store.rollback(now_ms)
            outputs.append(self._run(batch_input, now_ms))
            self.open.append(now_ms)
            self.replica.append(now_ms, self.store.delta(now_ms)["counts", 0].pack())
            while len(self.open) > trouble.lag:
                self._commit(self.open.pop(0), renews=trouble.renews)
            if trouble.loses_worker:
                self.store = StateStore()
                self.store.load("counts", 0, self.replica.image())
        return outputs

    def _run(self, batch_input: Any, now_ms: int) -> list[Any]:
        rows = self.step.run(self.store.table("counts", 0), batch_input, Batch(now_ms))
        return copy.deepcopy(list(rows))

    def _fail(self, batch_input: Any, now_ms: int, calls: int) -> None:
        for fault in self.faults:
            fault.calls_left = calls
        try:
            self._run(batch_input, now_ms)
        except UserCodeError as error:
            where = (type(error.__cause__), error.operator, error.batch_time_ms, error.site)
            if where != (InjectedError, "operator", now_ms, "app.py:7"):
                raise
            if calls % 2:  # Half of the failed attempts are rolled back at once, the others by the next attempt.
                self.store.rollback(now_ms)
        for fault in self.faults:
            fault.calls_left = None

    def _commit(self, batch_ms: int, *, renews: bool) -> None:
        self.store.commit(batch_ms)
        self.replica.commit(batch_ms)
        if renews:
            self.replica.renew(batch_ms, self.store.table("counts", 0).snapshot().pack())
