from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.state.state import State
from millstream.state.state_spec import StateSpec


def count(key: str, value: int | None, state: State[int]) -> tuple[str, int]:
    return key, state.get(0)


def test_the_builder_and_the_arguments_agree() -> None:
    built = StateSpec.function(count).initial_state({"a": 1}).partitions(3).timeout(timedelta(seconds=2))
    given = StateSpec(count, initial_state={"a": 1}, partitions=3, timeout=2.0)
    for spec in (built, given):
        assert (spec.f, spec.initial_pairs(), spec.partitions_count, spec.timeout_ms) == (count, [("a", 1)], 3, 2_000)


def test_a_spec_does_not_change() -> None:
    spec = StateSpec.function(count)
    spec.timeout(5)
    spec.partitions(7)
    spec.initial_state([("a", 1)])
    assert (spec.timeout_ms, spec.partitions_count, spec.initial_pairs()) == (None, None, [])


class Collection:
    def collect(self) -> list[tuple[str, int]]:
        return [("a", 1)]


@pytest.mark.parametrize("initial", [{"a": 1}, [("a", 1)], iter([("a", 1)]), Collection()])
def test_initial_state_comes_in_many_shapes(initial: Any) -> None:
    assert StateSpec(count, initial_state=initial).initial_pairs() == [("a", 1)]


@pytest.mark.parametrize("initial", [5, [1, 2], [("a", 1, 2)], [("a", None)]])
def test_a_wrong_initial_state_is_refused(initial: Any) -> None:
    with pytest.raises(ArgumentTypeError):
        StateSpec(count, initial_state=initial).initial_pairs()


@pytest.mark.parametrize("arguments", [{"timeout": 0}, {"timeout": -1}, {"partitions": 0}, {"partitions": "3"}])
def test_wrong_options_are_refused(arguments: Any) -> None:
    with pytest.raises(ConfigurationError):
        StateSpec(count, **arguments)


def test_a_spec_needs_a_function() -> None:
    with pytest.raises(ArgumentTypeError, match="needs a function"):
        StateSpec.function(5)  # type: ignore[call-overload]
