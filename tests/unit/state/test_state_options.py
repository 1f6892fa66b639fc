"""What `StateOptions` and `state=` take, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.model.label import Label
from millstream.state.state_options import DEFAULT_OPTIONS, checked_options

AT = Label("window", None, "app.py:3")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"codec": "json"}, ConfigurationError, "no such codec"),
        ({"codec": 3}, ConfigurationError, "no such codec"),
        ({"version": 0}, ConfigurationError, "above zero"),
        ({"version": True}, ConfigurationError, "above zero"),
        ({"version": "2"}, ConfigurationError, "above zero"),
        ({"renamed_from": 3}, ArgumentTypeError, "the name that an operator had"),
        ({"types": ["app.Total"]}, ArgumentTypeError, "takes classes"),
        ({"types": [int], "codec": ms.Codec()}, ConfigurationError, "belongs to the codec"),
        ({"migrate": "f", "version": 2}, ArgumentTypeError, "must be a function"),
        ({"migrate": lambda a, b, c: a, "version": 2}, ArgumentTypeError, "must be a function"),
        ({"migrate": lambda a: a}, ConfigurationError, "needs a version"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ms.StateOptions(**options)


def test_the_codec_has_the_classes_that_moved() -> None:
    codec = ms.StateOptions(types=[ms.Batch]).value_codec()
    assert (codec.kind, codec.types) == ("plain", (ms.Batch,))
    assert ms.StateOptions(codec="pickle").value_codec().kind == "pickle"
    own = ms.Codec("pickle")
    assert ms.StateOptions(codec=own).value_codec() is own


def test_an_operator_takes_options_or_nothing() -> None:
    assert checked_options(None, AT) is DEFAULT_OPTIONS
    with pytest.raises(ArgumentTypeError, match="state= that is no StateOptions"):
        checked_options("pickle", AT)  # type: ignore[arg-type]


def test_an_operator_without_a_name_was_not_renamed() -> None:
    options = ms.StateOptions(renamed_from="totals")
    with pytest.raises(ConfigurationError, match="has no name"):
        checked_options(options, AT)
    assert checked_options(options, Label("window", "sums")) is options


def test_a_spec_carries_the_options_of_its_state() -> None:
    options = ms.StateOptions(codec="pickle")
    spec: ms.StateSpec[Any, Any, Any, Any] = ms.StateSpec(lambda key, value, state: None, state=options)
    assert [changed.options for changed in (spec.timeout(3), spec.partitions(2), spec.initial_state([]))] == [
        options
    ] * 3
    assert ms.StateSpec(lambda key, value, state: None).state(options).options is options
