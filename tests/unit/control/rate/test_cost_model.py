from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from millstream.control.rate.cost_model import CostModel


def taught(batches: list[tuple[int, float]], overhead_ms: float = 100.0) -> CostModel:
    model = CostModel(overhead_ms=overhead_ms)
    for records, time_ms in batches:
        model.learn({"a": records}, time_ms)
    return model


def test_overhead_and_cost_are_told_apart() -> None:
    model = taught([(n, 200.0 + 0.05 * n) for n in (4_000, 1_000, 3_000, 500, 2_000, 5_000)])
    assert math.isclose(model.overhead_ms, 200.0, rel_tol=0.05)
    assert math.isclose(model.cost_ms("a"), 0.05, rel_tol=0.1)
    assert math.isclose(model.expected_ms({"a": 10_000}), 700.0, rel_tol=0.05)


def test_an_input_that_was_never_seen_costs_nothing_yet() -> None:
    assert taught([(100, 50.0)]).cost_ms("b") == 0.0


def test_several_inputs_have_costs_of_their_own() -> None:
    chance, model = random.Random(3), CostModel(overhead_ms=100.0)
    for _ in range(200):
        a, b = chance.randrange(1_000, 5_000), chance.randrange(100, 500)
        model.learn({"a": a, "b": b}, 20.0 + 0.05 * a + 1.0 * b)
    assert math.isclose(model.cost_ms("a"), 0.05, rel_tol=0.1)
    assert math.isclose(model.cost_ms("b"), 1.0, rel_tol=0.1)


def test_what_a_record_costs_is_known_still_after_a_thousand_small_batches() -> None:
    model = taught([(n, 50.0 + 0.1 * n) for n in (5_000, 2_000, 8_000, 4_000, 6_000)])
    for _ in range(1_000):
        model.learn({"a": 3}, 51.0, overhead_only=True)
    assert math.isclose(model.cost_ms("a"), 0.1, rel_tol=0.05)


def test_one_odd_batch_is_chance_and_two_are_a_change() -> None:
    steady = [(1_000, 100.0 + 3 * (i % 3)) for i in range(20)]
    once = taught([*steady, (1_000, 400.0)]).expected_ms({"a": 1_000})
    twice = taught([*steady, (1_000, 400.0), (1_000, 400.0)]).expected_ms({"a": 1_000})
    assert once < 150.0
    assert twice > 300.0


def test_a_change_counts_at_once_where_waiting_is_too_dear() -> None:
    model = taught([(1_000, 100.0)] * 20)
    model.learn({"a": 1_000}, 400.0, at_once=True)
    assert model.expected_ms({"a": 1_000}) > 300.0


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0.0, 1e7), st.booleans(), st.booleans()), max_size=60))
def test_whatever_it_learns_costs_are_numbers_and_none_is_negative(
    batches: list[tuple[int, float, bool, bool]],
) -> None:
    model = CostModel(overhead_ms=100.0)
    for records, time_ms, overhead_only, at_once in batches:
        model.learn({"a": records, "b": records // 7}, time_ms, overhead_only=overhead_only, at_once=at_once)
        for cost_ms in (model.overhead_ms, model.cost_ms("a"), model.cost_ms("b")):
            assert math.isfinite(cost_ms)
            assert cost_ms >= 0.0
