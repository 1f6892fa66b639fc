from __future__ import annotations

import pyarrow as pa
import pytest

from millstream.encoding.codec import decode, encode
from millstream.encoding.encoded_table import encoded_table

TEXT = pa.array([f"line {n}" for n in range(3_000)])


@pytest.mark.parametrize(
    "table",
    [
        pa.table({}),
        pa.table({"n": pa.array([], pa.int64())}),
        pa.table({"n": [1, None, 3]}),
        pa.table({"word": TEXT}),
        pa.table({"word": TEXT, "n": range(3_000)}).slice(1_000, 77),
        pa.table({"word": pa.chunked_array([TEXT[:10], TEXT[10:], TEXT[:0]])}),
        pa.table({"word": TEXT.dictionary_encode(), "more": [[n, str(n)] for n in map(str, range(3_000))]}),
        pa.table({"word": [b"x" * 70_000, None]}),
    ],
)
def test_a_table_is_written_as_any_value_is(table: pa.Table) -> None:
    data = encoded_table(table, b"before")
    assert (data.readonly, bytes(data)) == (True, b"before" + encode(table))
    assert decode(data[len(b"before") :]) == table


def test_lengths_around_those_at_which_a_head_grows() -> None:
    for length in (*range(40), *range(65_536 - 600, 65_536, 8)):
        table = pa.table({"": pa.array([b"x" * length])})
        assert bytes(encoded_table(table)) == encode(table)
