"""What a start does where only a person can decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from millstream.recovery.matching import OnUnmatched

OnDivergence: TypeAlias = Literal["fail", "accept"]


@dataclass(frozen=True, slots=True)
class RecoveryPolicies:
    """What a start does where only a person can decide.

    Attributes:
        on_unmatched: about stored state that no operator of the program claims.
        on_input_changed: when a batch that runs again reads other records than before.
        on_divergence: when a batch that runs again, and that a sink has committed, comes out differently.
        dead_letter_limit: how many batches may be given up.
        state_log: whether batches journal what they change in the state; without, those since the newest checkpoint
            run again at a start.
    """

    on_unmatched: OnUnmatched = "fail"
    on_input_changed: OnDivergence = "fail"
    on_divergence: OnDivergence = "fail"
    dead_letter_limit: int = 10
    state_log: bool = True
