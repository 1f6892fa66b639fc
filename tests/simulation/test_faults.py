"""Each fault that a user may name happens."""

from __future__ import annotations

from collections import Counter

import pytest

import millstream as ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulate import ALL_FAULTS, simulate
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


def test_a_program_that_writes_only_elsewhere_is_compared_by_its_state() -> None:
    def program(ssc: ms.StreamingContext, simulation: Connections) -> None:
        pairs = simulation.stream("numbers").map(lambda n: (n % 2, n))
        pairs.update_state_by_key(lambda values, old: (old or 0) + sum(values), name="sums").collect_to([])

    for outcome in simulate(program, {"numbers": list(range(20))}, seeds=range(3)):
        assert not outcome.outputs
