from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, InvalidError
from millstream.model.partition import Partition
from millstream.sinks.sql.record_rows import RecordRows, RowGroup
from millstream.sinks.sql.row_writers import converter_for
from millstream.sinks.sql.table_shape import shape_of

DIALECT = sa.make_url("postgresql+psycopg://").get_dialect()()

TABLE = sa.Table(
    "counts",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
    sa.Column("word", sa.String(20), nullable=False),
    sa.Column("count", sa.Integer),
    sa.Column("share", sa.Float),
    sa.Column("seen", sa.DateTime(timezone=True)),
    sa.Column("day", sa.Date),
    sa.Column("good", sa.Boolean, server_default=sa.true(), nullable=False),
    sa.Column("more", sa.JSON),
    sa.Column("uid", sa.Uuid),
    sa.Column("raw", sa.LargeBinary),
)
SHAPE = shape_of(TABLE, DIALECT)
CONVERTERS = {
    name: convert for name, column in SHAPE.columns.items() if (convert := converter_for(DIALECT, column)) is not None
}


@dataclass(frozen=True)
class Counted:
    word: str
    count: int


Pair = namedtuple("Pair", ["word", "count"])


class Color(enum.Enum):
    RED = "red"


def groups(*records: Any, columns: tuple[str, ...] | None = None, key: tuple[str, ...] = ()) -> list[RowGroup]:
    return RecordRows("words", SHAPE, columns, key, CONVERTERS).groups(Partition(list(records)))


AB = ("word", "count")


@pytest.mark.parametrize(
    ("records", "columns"),
    [
        ([{"word": "a", "count": 1}, {"word": "b", "count": 2}], None),
        ([{"word": "a", "count": 1}, {"count": 2, "word": "b"}], None),
        ([OrderedDict(word="a", count=1), {"word": "b", "count": 2}], None),
        ([{"word": "a", "count": 1, "left": 0}, {"word": "b", "count": 2}], AB),
        ([Counted("a", 1), Counted("b", 2)], None),
        ([Pair("a", 1), Pair("b", 2)], None),
        ([("a", 1), ["b", 2]], AB),
        ([Counted("a", 1), ("b", 2)], AB),
        ([{"word": "a", "count": np.int64(1)}, {"word": np.str_("b"), "count": np.int32(2)}], None),
        ([("a", True), ("b", 2)], AB),
    ],
)
def test_records_of_many_forms(records: list[Any], columns: tuple[str, ...] | None) -> None:
    assert groups(*records, columns=columns) == [(AB, [("a", 1), ("b", 2)])]


def test_columns_of_arrow() -> None:
    table = pa.table({"word": ["a", "b"], "count": [1, None]})
    rows = RecordRows("words", SHAPE, None, (), CONVERTERS)
    assert rows.groups(Partition.of_table(table)) == [(AB, [("a", 1), ("b", None)])]
    wanted = RecordRows("words", SHAPE, ("word", "share"), (), CONVERTERS)
    assert wanted.groups(Partition.of_table(table)) == [(("word", "share"), [("a", None), ("b", None)])]


def test_single_values_fill_the_one_column() -> None:
    assert groups("a", "b", columns=("word",)) == [(("word",), [("a",), ("b",)])]
    plain = Partition.of_table(pa.table({"value": ["a", "b"]}))
    assert RecordRows("words", SHAPE, ("word",), (), {}).groups(plain) == [(("word",), [("a",), ("b",)])]


def test_what_a_record_has_not_got_is_left_to_the_default_or_null_where_columns_are_named() -> None:
    some: list[Any] = [{"word": "a", "count": 1}, {"word": "b"}, {"word": "c", "count": 3}]
    assert groups(*some) == [(AB, [("a", 1), ("c", 3)]), (("word",), [("b",)])]
    assert groups(*some, columns=AB) == [(AB, [("a", 1), ("b", None), ("c", 3)])]


def test_an_upsert_keeps_the_order_of_records_with_different_fields() -> None:
    found = groups({"word": "a", "count": 1}, {"word": "a"}, {"word": "a", "count": 3}, key=("word",))
    assert [len(names) for names, _ in found] == [2, 1, 2]


def test_values_that_columns_take() -> None:
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    uid = uuid.UUID(int=1)
    ((_, (row,)),) = groups(
        {
            "word": Color.RED,
            "share": decimal.Decimal("0.5"),
            "seen": now,
            "day": now.date(),
            "more": {"a": [1, None]},
            "uid": uid,
            "raw": b"\0",
        }
    )
    assert row == ("red", decimal.Decimal("0.5"), now, now.date(), '{"a":[1,null]}', uid, b"\0")


@pytest.mark.parametrize(
    ("record", "error", "says"),
    [
        ({"word": "a", "count": "one"}, ArgumentTypeError, "type str cannot be written into the column 'count'"),
        ({"word": 1}, ArgumentTypeError, "type int cannot be written into the column 'word'"),
        ({"word": "a", "share": True}, ArgumentTypeError, "type bool"),
        ({"word": "a", "good": 1}, ArgumentTypeError, "type int"),
        ({"word": "a", "seen": "today"}, ArgumentTypeError, "The column is TIMESTAMP WITH TIME ZONE"),
        ({"word": "a", "day": datetime.datetime(2026, 1, 2)}, ArgumentTypeError, "type datetime"),
        ({"word": "a", "more": object}, ArgumentTypeError, "The column is JSON"),
        ({"word": None}, DataError, "no value for the column 'word'"),
        ({"count": 1}, DataError, "no value for the column 'word'"),
        ({"word": "a", "wrod": "b"}, ConfigurationError, "has no column 'wrod'"),
        ({}, ConfigurationError, "has no fields"),
        (("a", 1), ArgumentTypeError, "do not say which columns"),
        ("a", ArgumentTypeError, "do not say which columns"),
    ],
)
def test_records_that_do_not_fit_are_named(record: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        groups({"word": "fits", "count": 1}, record)
    assert says in str(caught.value)
    assert "output words, table counts, record" in str(caught.value)
    assert "fits" not in str(caught.value)


def test_tuples_of_another_length() -> None:
    with pytest.raises(ConfigurationError, match=r"has 3 values, and there are 2 columns(.|\n)*record \('b', 2, 3\)"):
        groups(("a", 1), ("b", 2, 3), columns=AB)


def test_a_dataclass_without_the_field() -> None:
    with pytest.raises(InvalidError, match="no field 'share'"):
        groups(Counted("a", 1), columns=("word", "share"))


def test_a_key_needs_a_value() -> None:
    with pytest.raises(DataError, match="is part of the key"):
        groups({"word": "a", "count": None}, key=("count",))
    with pytest.raises(DataError, match="is part of the key"):
        groups({"word": "a"}, key=("count",))


def test_the_list_of_another_operator_is_not_changed() -> None:
    records = [("a", 1)]
    rows = RecordRows("words", SHAPE, AB, (), {})
    found = rows.groups(Partition(records))
    found[0][1].append(("b", 2))
    assert records == [("a", 1)]
