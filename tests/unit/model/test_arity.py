"""Which functions ask for the batch, and which cannot be called where nothing awaits."""

from __future__ import annotations

import functools
import operator
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

from millstream.errors import GraphError
from millstream.model.arity import refuse_coroutine, wants_batch


class Scorer:
    def __init__(self, model: str, scale: int = 1) -> None:
        self.model = model

    def score(self, record: object) -> object:
        return record

    def score_in_batch(self, record: object, batch: object) -> object:
        return record, batch

    @classmethod
    def of_class(cls, record: object) -> object:
        return record

    @staticmethod
    def of_nothing(record: object, batch: object) -> object:
        return record, batch

    def __call__(self, record: object, batch: object) -> object:
        return record, batch


def passed_on(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def wrapper(*arguments: Any) -> Any:
        return f(*arguments)

    return wrapper


def with_setting(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def wrapper(record: object) -> Any:
        return f(record, "setting")

    return wrapper


def asks(record: object, batch: object) -> object:
    return record, batch


def plain(record: object) -> object:
    return record


Point = namedtuple("Point", ["x", "y"])


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda x: x, False),
        (lambda x, batch: (x, batch), True),
        (lambda x, n=2: x, False),
        (lambda x, batch, n=2: x, True),
        (lambda x, /, batch: x, True),
        (lambda x, *rest: x, False),
        (lambda *rest: rest, False),
        (lambda x, batch, more: x, False),
        (lambda x, *, batch: x, False),
        (lambda x, batch, **more: x, True),
        (lambda: 0, False),
        (Scorer("m").score, False),
        (Scorer("m").score_in_batch, True),
        (Scorer.of_class, False),
        (Scorer.of_nothing, True),
        (Scorer("m"), True),
        (Scorer, False),
        (Scorer.score, True),  # Unbound: whoever maps it means self and a record, and one of them is missing.
        (functools.partial(asks, batch="set"), False),
        (functools.partial(asks, "set"), False),
        (functools.partial(operator.add, 1), False),
        (functools.partial(asks), True),
        (functools.partial(Scorer("m").score_in_batch), True),
        (passed_on(asks), True),
        (passed_on(plain), False),
        (with_setting(asks), False),
        (functools.lru_cache(asks), True),
        (functools.lru_cache(plain), False),
        (Point, True),
        (str.split, False),
        ("a b".split, False),
        ({}.get, False),
        ({}.__getitem__, False),
        (len, False),
        (int, False),
        (str, False),
        (dict, False),
        (list, False),
        (max, False),
        (operator.itemgetter(1), False),
        (operator.attrgetter("a"), False),
        (operator.methodcaller("a"), False),
        (print, False),
        (3, False),
    ],
)
def test_a_function_asks_for_the_batch_by_requiring_one_argument_more(f: Any, wanted: bool) -> None:
    assert wants_batch(f, 1) is wanted


def test_a_function_of_index_and_iterator_asks_by_requiring_three() -> None:
    assert not wants_batch(lambda index, rows: rows, 2)
    assert wants_batch(lambda index, rows, batch: rows, 2)


async def waits(record: object) -> object:
    return record


async def waits_and_yields(record: object) -> Any:
    yield record


class AsyncCallable:
    async def __call__(self, record: object) -> object:
        return record

    async def method(self, record: object) -> object:
        return record


@pytest.mark.parametrize(
    "f",
    [waits, waits_and_yields, functools.partial(waits), AsyncCallable(), AsyncCallable().method],
)
def test_a_coroutine_function_is_refused(f: Any) -> None:
    with pytest.raises(GraphError, match=r"map was given a coroutine function(.|\n)*map_async"):
        refuse_coroutine(f, "map")


@pytest.mark.parametrize("f", [plain, len, AsyncCallable, Scorer("m"), functools.partial(plain), lambda x: waits(x)])
def test_other_callables_are_not(f: Any) -> None:
    refuse_coroutine(f, "map")
