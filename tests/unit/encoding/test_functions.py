from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from millstream.encoding.functions import load_function, ship_function
from millstream.errors import LifecycleError, ShippingError
from millstream.model.label import Label

LABEL = Label("map", None, "app.py:12")
LOCK = threading.Lock()


class Client:
    def __init__(self) -> None:
        self.name = "client"
        self.session = {"lock": threading.Lock()}

    def send(self, x: int) -> int:
        return x


class Slotted:
    __slots__ = ("empty", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Context:
    """Refuses to travel in words of its own, as a streaming context does."""

    def __reduce__(self) -> Any:
        raise LifecycleError("A context stays with the driver.")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    f: Callable[..., Any]
    label: Label


def closing_over(value: Any) -> Callable[..., Any]:
    client = value
    return lambda x: (client, x)


def nested(value: Any) -> Callable[..., Any]:
    return lambda xs: [closing_over_name(x) for x in xs if value]


def closing_over_name(x: int) -> int:
    return x


def test_functions_travel() -> None:
    factor = 3
    for f in (lambda x: x * factor, functools.partial(pow, 2), str.upper, Client.send):
        shipped = load_function(ship_function(f, LABEL), LABEL)
        assert callable(shipped)
    assert load_function(ship_function(lambda x: x * factor, LABEL), LABEL)(2) == 6


def global_user() -> Callable[..., Any]:
    # A function of another module than any that could be imported, so that its globals travel with it.
    names: dict[str, Any] = {"LOCK": LOCK, "__name__": "__main__"}
    exec("def use(x):\n    return [LOCK for _ in x]", names)
    return names["use"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("f", "part"),
    [
        (closing_over(threading.Lock()), "the variable `client` (a _thread.lock)"),
        (closing_over(Client()), "the variable `client.session['lock']` (a _thread.lock)"),
        (closing_over([1, Slotted()]), "the variable `client[1].lock` (a _thread.lock)"),
        (closing_over(closing_over(threading.Lock())), "the variable `client` (a _thread.lock)"),
        (closing_over(Context()), "Context)"),
        (global_user(), "the global variable `LOCK` (a _thread.lock)"),
        (Client().send, "the object `Client.session['lock']` (a _thread.lock)"),
        (functools.partial(pow, threading.Lock()), "the argument `argument 0` (a _thread.lock)"),
        (functools.partial(pow, exp=threading.Lock()), "the argument `exp` (a _thread.lock)"),
        (lambda x, lock=threading.Lock(): x, "the default of argument `0` (a _thread.lock)"),  # noqa: B008
        (Step(closing_over(Client()), LABEL), "the variable `client.session['lock']` (a _thread.lock)"),
        (closing_over(x for x in [1]), "the variable `client` (a generator)"),
    ],
)
def test_what_cannot_travel_is_named(f: Any, part: str) -> None:
    with pytest.raises(ShippingError) as caught:
        ship_function(f, LABEL)
    error = caught.value
    assert part in str(error)
    assert "map" in error.message
    assert "app.py:12" in error.message
    assert error.hint is not None
    assert error.__cause__ is not None


def test_a_refusal_in_its_own_words_is_passed_on() -> None:
    with pytest.raises(ShippingError, match="A context stays with the driver"):
        ship_function(closing_over(Context()), LABEL)


def test_the_line_of_the_function_is_given() -> None:
    with pytest.raises(ShippingError, match=r"closing_over\.<locals>\.<lambda> \(.*test_functions\.py:\d+\)"):
        ship_function(closing_over(LOCK), LABEL)


def test_a_missing_module_is_said_on_the_other_side() -> None:
    data = ship_function(Client.send, LABEL).replace(b"test_functions", b"tast_functions")
    with pytest.raises(ShippingError, match="cannot be loaded in a worker"):
        load_function(data, LABEL)
