from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.control.rate.pid_rate_controller import PidRateController
from millstream.encoding.codec import decode, encode
from millstream.errors import ConfigurationError
from millstream.model.ports.rate_controller import BatchMeasured

INTERVAL_MS = 1_000


def measured(
    number: int, processing_ms: float, delay_ms: float = 0.0, attempts: int = 1, **records: int
) -> BatchMeasured:
    return BatchMeasured(number * INTERVAL_MS, INTERVAL_MS, records, processing_ms, delay_ms, attempts)


def driven(
    controller: PidRateController, batches: int, offered: int, overhead_ms: float, cost_ms: float
) -> list[float]:
    """Give the limits after batches that take what is offered, up to the limit."""
    rate, limits = controller.first_rate(INTERVAL_MS), list[float]()
    for number in range(1, batches + 1):
        assert rate is not None
        records = int(min(offered, rate))
        rate = controller.next_rate(measured(number, overhead_ms + cost_ms * records, a=records))
        assert rate is not None
        limits.append(rate)
    return limits


def test_the_first_batch_is_limited() -> None:
    assert PidRateController("a").first_rate(INTERVAL_MS) == 10_000.0
    assert PidRateController("a", initial_rate=50).first_rate(INTERVAL_MS) == 50.0
    assert PidRateController("a", initial_rate=None).first_rate(INTERVAL_MS) is None


@pytest.mark.parametrize(("overhead_ms", "cost_ms"), [(50.0, 0.1), (300.0, 0.1), (5.0, 20.0), (50.0, 0.001)])
def test_it_finds_what_is_possible(overhead_ms: float, cost_ms: float) -> None:
    limits = driven(PidRateController("a"), 30, 10**9, overhead_ms, cost_ms)
    assert math.isclose(limits[-1], (950.0 - overhead_ms) / cost_ms, rel_tol=0.08)


def test_from_batch_to_batch_the_limit_grows_at_most_tenfold() -> None:
    limits = [10_000.0, *driven(PidRateController("a"), 10, 10**9, 1.0, 0.0001)]
    assert max(limits) > 5_000_000.0
    assert all(after <= 10.0 * before for before, after in pairwise(limits))


def test_a_quiet_spell_leaves_the_limit_where_it_was() -> None:
    controller = PidRateController("a")
    busy = driven(controller, 20, 10**9, 200.0, 0.1)[-1]
    for number in range(21, 1_000):
        quiet = controller.next_rate(measured(number, 200.5, a=number % 5))
    assert quiet is not None
    assert math.isclose(quiet, busy, rel_tol=0.1)


def test_few_records_with_much_overhead_leave_the_first_limit() -> None:
    limits = driven(PidRateController("a"), 500, 5, 150.0, 0.1)
    assert min(limits) == 10_000.0


def test_a_slow_first_batch_of_few_records_costs_a_few_batches_at_most() -> None:
    controller = PidRateController("a")
    controller.first_rate(INTERVAL_MS)
    cold = controller.next_rate(measured(1, 400.0, a=1))
    assert cold == 2_500.0
    for number in range(2, 6):
        rate = controller.next_rate(measured(number, 3.0, a=10))
    assert rate == 10_000.0


def test_batches_without_records_change_nothing() -> None:
    controller = PidRateController("a")
    busy = driven(controller, 20, 10**9, 50.0, 0.1)[-1]
    assert [controller.next_rate(measured(number, 700.0, a=0)) for number in (21, 22)] == [busy, busy]


def test_records_that_wait_lower_the_limit_until_they_are_worked_off() -> None:
    controller = PidRateController("a")
    busy = driven(controller, 20, 10**9, 50.0, 0.1)[-1]
    late = controller.next_rate(measured(21, 980.0, 1_500.0, a=9_300))
    assert late is not None
    assert busy / 4.0 <= late < busy / 2.0
    assert controller.next_rate(measured(22, 980.0, 0.0, a=9_300)) == pytest.approx(busy, rel=0.05)
    patient = PidRateController("a", integral=0.0)
    driven(patient, 20, 10**9, 50.0, 0.1)
    assert patient.next_rate(measured(21, 980.0, 1_500.0, a=9_300)) == pytest.approx(busy, rel=0.05)


def test_overhead_above_half_of_the_interval_makes_batches_longer() -> None:
    controller = PidRateController("a", utilization=1.0)
    controller.first_rate(INTERVAL_MS)
    number, rate = 0, 10_000.0
    for _ in range(40):
        span_ms = max(float(INTERVAL_MS), controller.span_ms)
        number += round(span_ms / INTERVAL_MS)
        records = int(rate * span_ms / 1_000.0)
        rate = controller.next_rate(measured(number, 2_000.0 + 0.1 * records, a=records)) or 0.0
    assert controller.span_ms == pytest.approx(4_000.0, rel=0.15)
    assert rate == pytest.approx(2_000.0 / 0.1 / 4.0, rel=0.15)


def test_inputs_share_the_time_of_a_batch() -> None:
    a, b = PidRateController("a"), PidRateController("b")
    rates = {"a": a.first_rate(INTERVAL_MS) or 0.0, "b": b.first_rate(INTERVAL_MS) or 0.0}
    times_ms = []
    for number in range(1, 60):
        offered = {"a": 10**9, "b": 500 + 37 * (number % 5)}
        records = {name: int(min(offered[name], rates[name])) for name in rates}
        took_ms = 50.0 + 0.1 * records["a"] + 0.4 * records["b"]
        times_ms.append(took_ms)
        batch = BatchMeasured(number * INTERVAL_MS, INTERVAL_MS, records, took_ms, 0.0)
        rates = {"a": a.next_rate(batch) or 0.0, "b": b.next_rate(batch) or 0.0}
    assert 900.0 < sum(times_ms[-20:]) / 20.0 < 1_000.0
    assert max(times_ms[-20:]) < 1_100.0
    assert rates["b"] > 660.0, "what b does not use is a's, and b is not kept from its part"


def test_a_batch_that_was_tried_again_says_nothing_about_speed() -> None:
    controller = PidRateController("a")
    busy = driven(controller, 20, 10**9, 50.0, 0.1)[-1]
    assert controller.next_rate(measured(21, 30_000.0, attempts=3, a=9_000)) != busy
    assert controller.next_rate(measured(22, 950.0, a=9_000)) == pytest.approx(busy, rel=0.05)


def restarted(before: PidRateController) -> PidRateController:
    after = PidRateController("a")
    learnt = decode(encode(before.learnt()))
    if learnt is not None:
        after.go_on(learnt)
    return after


def test_after_a_restart_the_first_batch_is_bounded_by_what_was_possible() -> None:
    before = PidRateController("a")
    busy = driven(before, 20, 10**9, 50.0, 0.01)[-1]
    assert busy == pytest.approx(90_000.0, rel=0.05)
    after = restarted(before)
    assert after.first_rate(INTERVAL_MS) == pytest.approx(busy, rel=0.01)
    assert after.next_rate(measured(21, 950.0, a=90_000)) == pytest.approx(busy, rel=0.05)


def test_a_restart_before_any_batch_ended_forgets_nothing() -> None:
    before = PidRateController("a")
    driven(before, 20, 10**9, 50.0, 0.01)
    first = restarted(before)
    rate = first.first_rate(INTERVAL_MS)
    assert restarted(first).first_rate(INTERVAL_MS) == rate
    assert restarted(PidRateController("a")).first_rate(INTERVAL_MS) == 10_000.0


def test_after_a_restart_on_a_slower_machine_one_batch_sets_it_right() -> None:
    before = PidRateController("a")
    driven(before, 20, 10**9, 50.0, 0.01)
    after = restarted(before)
    first = after.first_rate(INTERVAL_MS) or 0.0
    second = after.next_rate(measured(21, 3.0 * (50.0 + 0.01 * first), a=int(first))) or 0.0
    assert 3.0 * (50.0 + 0.01 * second) < 1_100.0


def test_after_a_restart_with_longer_batches_limits_by_the_batch_grow_with_them() -> None:
    before = PidRateController("a")
    driven(before, 20, 10**9, 50.0, 0.01)
    after = restarted(before)
    rate = after.first_rate(4 * INTERVAL_MS)
    grown = after.next_rate(BatchMeasured(80_000, 4 * INTERVAL_MS, {"a": 360_000}, 3_650.0, 0.0))
    assert grown == pytest.approx(rate, rel=0.1)


def test_after_a_restart_an_input_that_was_removed_takes_no_time() -> None:
    before = PidRateController("a")
    before.first_rate(INTERVAL_MS)
    for number in range(1, 40):
        records = {"a": 2_000 + 100 * (number % 7), "gone": 2_000 + 100 * (number % 5)}
        before.next_rate(measured(number, 50.0 + 0.2 * sum(records.values()), **records))
    after = restarted(before)
    after.first_rate(INTERVAL_MS)
    rate = after.next_rate(measured(40, 450.0, a=2_000)) or 0.0
    for number in range(41, 44):
        rate = after.next_rate(measured(number, 50.0 + 0.2 * int(rate), a=int(rate))) or 0.0
    assert rate == pytest.approx(4_500.0, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_rate", 0.0),
        ("initial_rate", math.nan),
        ("utilization", 0.0),
        ("utilization", 1.1),
        ("proportional", 0.0),
        ("integral", -0.1),
        ("integral", 1.5),
        ("min_rate", 0.0),
        ("min_rate", math.inf),
    ],
)
def test_arguments_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        PidRateController("a", **{name: value})
    assert "Give a number" in str(caught.value)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 20), st.integers(0, 10**7), st.floats(0.0, 1e6), st.floats(0.0, 1e6), st.integers(1, 3)
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_limit_is_a_rate(batches: list[tuple[int, int, float, float, int]]) -> None:
    controller, time_ms = PidRateController("a", min_rate=5.0), 0
    controller.first_rate(INTERVAL_MS)
    for steps, records, took_ms, delay_ms, attempts in batches:
        time_ms += steps * INTERVAL_MS
        rate = controller.next_rate(BatchMeasured(time_ms, INTERVAL_MS, {"a": records}, took_ms, delay_ms, attempts))
        assert rate is not None
        assert math.isfinite(rate)
        assert rate >= 5.0
        assert math.isfinite(controller.span_ms)
