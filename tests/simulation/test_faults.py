"""Each fault that a user may name happens."""

from __future__ import annotations

from collections import Counter

import pytest

from millstream.testing.simulation.simulate import ALL_FAULTS
from millstream.testing.simulation.world import Fault
from tests.simulation.runs import run_seeds

SEEDS = range(6)


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_fault_that_is_named_happens_and_no_other(fault: Fault) -> None:
    happened = Counter[str]()
    for outcome in run_seeds("stateless", SEEDS, faults=(fault,), batches=12):
        happened += outcome.faults
    caused = {"start", "end", "jump", "wake", "begin"}
    assert happened[fault] > 0
    assert set(happened) <= {fault, *caused}
