"""What a difference between two runs of a batch does, by policy."""

from __future__ import annotations

import pytest

import millstream as ms
from millstream.control.divergences import Divergences
from millstream.control.recovery_policies import OnDivergence, RecoveryPolicies
from millstream.errors import DataError
from millstream.observe.event_bus import EventBus
from millstream.recovery.decisions import BatchPrepared, Digest
from millstream.testing import ManualClock

BEFORE = BatchPrepared(1_000, 0, {"in": (Digest(2),)}, Digest(1, 7))
NOW = BatchPrepared(1_000, 1, {"in": (Digest(3),)}, Digest(1, 8))


class Diverged(ms.StreamingListener):
    """Notes what differs, and whether it was accepted."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def on_batch_diverged(self, event: ms.BatchDiverged) -> None:
        self.seen.append((event.batch_time_ms, event.accepted))


def compare(on_input_changed: OnDivergence, on_divergence: OnDivergence, *, committed: bool) -> list[tuple[int, bool]]:
    clock, heard = ManualClock(0.0), Diverged()
    bus = EventBus(ms.Environment(clock))
    bus.add(heard)
    policies = RecoveryPolicies(on_input_changed=on_input_changed, on_divergence=on_divergence)
    Divergences(policies, bus).compare(BEFORE, NOW, committed=committed)
    clock.advance(0.0)
    return heard.seen


def test_a_change_of_input_that_is_accepted_does_not_hide_another_state() -> None:
    with pytest.raises(DataError, match=r"The batch 1000 .* another state"):
        compare("accept", "fail", committed=True)
    assert compare("accept", "accept", committed=True) == [(1_000, True), (1_000, True)]


def test_another_state_that_no_sink_has_committed_is_no_difference() -> None:
    assert compare("accept", "fail", committed=False) == [(1_000, True)]


def test_other_records_are_refused_before_the_state_is_compared() -> None:
    with pytest.raises(DataError, match=r"The batch 1000 .* other records"):
        compare("fail", "accept", committed=True)
