from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from millstream.errors import ShippingError
from millstream.execution.messages import Data, decode, encode
from millstream.execution.packed import Fetched, Packed
from millstream.model.partition import Columns, lasting, rows_of
from millstream.state.rows import StateRows
from millstream.state.table import StateTable


def sent(packed: Packed) -> Packed:
    """What the other process gets."""
    message = decode(encode(Data(packed.form())))
    assert isinstance(message, Data)
    return Packed.of_form(message.form)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [1, "a", None],
        [("k", 1)],
        {"a": 1, "b": 2},
        {"a": [1]},
        {1: 2.5, b"x": "y"},
        range(3),
        (1, 2),
        ["x" * 5_000],
    ],
)
def test_data_comes_back_as_it_was(data: Any) -> None:
    packed = sent(Packed.of(data))
    assert packed.unpack() == data
    assert type(packed.unpack()) is type(data)
    assert len(packed) == len(data)
    assert list(packed) == list(data)
    assert list(rows_of(lasting(packed))) == list(data)


def test_views_of_pairs() -> None:
    packed = sent(Packed.of({"a": 1, "b": [2]}.items()))
    assert list(packed.unpack()) == [("a", 1), ("b", [2])]
    assert len(packed) == 2


def test_rows_of_an_unknown_kind() -> None:
    assert sent(Packed.of({1: 2}.keys())).unpack() == [1]
    assert sent(Packed.of({"a"})).unpack() == ["a"]


def test_views_of_state() -> None:
    table = StateTable("counts", 0)
    table.begin(1_000)
    table.set("a", [1])
    assert isinstance(table.rows(), StateRows)
    assert sent(Packed.of(table.rows())).unpack() == [("a", [1])]


def test_dicts_of_atoms_keep_their_types() -> None:
    data = {True: 1, 2: False, "a": None, 1.5: b"x", 10**40: 0}
    again = Packed.of(data).unpack()
    assert [(type(key), type(value)) for key, value in again.items()] == [
        (type(key), type(value)) for key, value in data.items()
    ]


def test_columns_are_not_copied_into_the_pickle() -> None:
    table = pa.table({"x": pa.array(range(100_000), pa.int64())})
    packed = Packed.of(Columns(table.slice(1_000, 50_000), scalar=False))
    data, *buffers = encode(Data(packed.form()))
    assert len(data) < 10_000
    assert 400_000 <= sum(map(len, buffers)) < 500_000
    assert sent(packed).unpack().table == table.slice(1_000, 50_000)
    assert len(packed) == 50_000


def test_a_record_that_cannot_be_sent_is_named() -> None:
    for data in ([1, threading.Lock()], {"a": 1, "b": threading.Lock()}):
        with pytest.raises(ShippingError, match="A record of type") as raised:
            Packed.of(data)
        assert "lock" in str(raised.value)
    with pytest.raises(ShippingError, match="lock"):
        Packed.of_result(threading.Lock())


def test_what_is_elsewhere_is_fetched_once() -> None:
    fetched = []

    def fetch() -> Fetched:
        fetched.append(1)
        packed = Packed.of({"a": 1}.items())
        return packed.frames, packed.holds

    packed = Packed(None, 1, fetch=fetch)
    assert len(packed) == 1
    assert packed.size_bytes == 0
    assert not packed.is_fetched
    assert not fetched
    assert list(packed) == [("a", 1)]
    assert lasting(packed) is packed
    assert packed.is_fetched
    assert packed.size_bytes > 0
    assert len(fetched) == 1
