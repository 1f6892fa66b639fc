"""Records that a function refuses are put aside, on every backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms
from millstream.errors import ArgumentTypeError, SinkUnavailableError, UserCodeError
from millstream.testing import ManualClock
from tests.conformance.streams.runs import Batches, RunBatches, numbers


def odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number * 10


def up_to(number: int) -> Any:
    for n in range(number):
        yield n
        if n == 2:
            raise IndexError(n)


@given(batches=numbers(), partitions=st.integers(1, 3))
def test_two_streams_hold_what_one_function_gave_and_refused(
    run: RunBatches, batches: Batches, partitions: int
) -> None:
    def both(ssc: ms.StreamingContext, s: ms.DStream[int]) -> ms.DStream[Any]:
        good, bad = s.try_map(odd, name="odd")
        return good.union(bad.map(lambda letter: (letter.record, letter.error, letter.operator, letter.batch_time_ms)))

    result = run(both, batches, partitions=partitions)
    for index, (given_batch, batch) in enumerate(zip(batches, result, strict=False)):
        taken = [n * 10 for n in given_batch if n % 2]
        refused = [(n, f"ValueError: {n} is even", "odd", (index + 1) * 1000) for n in given_batch if n % 2 == 0]
        assert sorted(batch, key=repr) == sorted([*taken, *refused], key=repr)


def test_a_record_that_is_refused_half_way_gives_nothing(run: RunBatches) -> None:
    batches = [[2, 5, 1]]
    assert run(lambda ssc, s: s.try_flat_map(up_to)[0], batches) == [[0, 1, 0]]
    assert run(lambda ssc, s: s.try_flat_map(up_to)[1].map(lambda letter: letter.record), batches) == [[5]]


def test_the_function_may_get_the_batch(run: RunBatches) -> None:
    def stamped(number: int, batch: ms.Batch) -> tuple[int, int]:
        return batch.time_ms, 6 // number

    batches = [[1, 0], [2]]
    assert run(lambda ssc, s: s.try_map(stamped)[0], batches) == [[(1000, 6)], [(2000, 3)]]
    assert run(lambda ssc, s: s.try_map(stamped)[1].map(lambda letter: letter.record), batches) == [[0], []]


def test_what_is_refused_can_be_tried_again(run: RunBatches) -> None:
    def mended(letter: ms.Refused[int]) -> Any:
        return letter if letter.record == 0 else letter.record + 1

    batches = [[0, 1, 2]]
    result = run(lambda ssc, s: s.try_map(odd)[1].try_map(mended)[0], batches)
    assert [getattr(row, "record", row) for row in result[0]] == [0, 3]


def test_other_errors_fail_the_batch_and_name_the_record(run: RunBatches) -> None:
    with pytest.raises(UserCodeError, match="ZeroDivisionError") as raised:
        run(lambda ssc, s: s.try_map(lambda x: 1 // x, errors=(ValueError, KeyError))[0], [[1, 0]])
    assert raised.value.operator == "try_map"
    assert raised.value.record == "0"


def test_what_may_pass_is_no_error_of_a_record() -> None:
    failures = [SinkUnavailableError("not now")]

    def asked(number: int) -> int:
        if failures:
            raise failures.pop()
        return number

    clock = ManualClock()
    good: list[Any] = []
    bad: list[Any] = []
    with ms.StreamingContext(1.0, environment=ms.Environment(clock), retry_pause=0.001) as ssc:
        taken, refused = ssc.queue_stream([[1, 2]]).try_map(asked)
        taken.collect_to(good)
        refused.collect_to(bad)
        ssc.start()
        clock.advance(1.5)
    assert (good, bad) == ([[1, 2]], [[]])


def test_the_function_is_called_once_for_both_streams() -> None:
    calls: list[int] = []

    def asked(number: int) -> int:
        calls.append(number)
        return odd(number)

    clock = ManualClock()
    good: list[Any] = []
    bad: list[Any] = []
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        taken, refused = ssc.queue_stream([[1, 2, 3]]).try_map(asked)
        taken.collect_to(good)
        refused.count().collect_to(bad)
        ssc.start()
        clock.advance(1.0)
    assert (calls, good, bad) == ([1, 2, 3], [[10, 30]], [[1]])


def test_an_error_without_a_text_is_refused_all_the_same(run: RunBatches) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail(number: int) -> None:
        raise MuteError if number else ValueError("x" * 5_000)

    errors = run(lambda ssc, s: s.try_map(fail)[1].map(lambda letter: letter.error), [[1, 0]])
    assert errors == [["MuteError", "ValueError: " + "x" * 988]]


def test_refused_records_are_written_like_any_others(tmp_path: Path) -> None:
    clock = ManualClock()
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        _, refused = ssc.queue_stream([['{"id": 1}', "{"]]).try_map(json.loads, errors=ValueError, name="parse")
        refused.save_as_json_files(tmp_path)
        ssc.start()
        clock.advance(1.0)
    (letter,) = ms.read_committed(tmp_path)
    assert letter.pop("error").startswith("JSONDecodeError: ")
    assert letter == {"record": "{", "operator": "parse", "batch_time_ms": 1000}


@pytest.mark.parametrize("errors", [(), "ValueError", ValueError("x"), BaseException, (ValueError, 3)])
def test_what_names_no_exceptions_is_refused(errors: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="names no exceptions"):
        ms.StreamingContext(1.0).memory_stream().try_map(odd, errors=errors)
