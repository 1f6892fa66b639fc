from __future__ import annotations

from typing import Any

import pytest

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.sources.formats.chosen import chosen
from millstream.sources.formats.csv_format import CsvFormat
from millstream.sources.formats.text_format import TextFormat


def test_a_name_makes_its_format() -> None:
    assert isinstance(chosen("text", "replace", {}), TextFormat)
    format = chosen("csv", "skip", {"columns": ["a"]})
    assert isinstance(format, CsvFormat)
    assert (format.columns, format.on_malformed) == (["a"], "skip")


def test_a_format_is_taken_as_it_is() -> None:
    format = CsvFormat()
    assert chosen(format, "skip", {}) is format
    with pytest.raises(ArgumentTypeError, match="no option 'delimiter'"):
        chosen(format, "fail", {"delimiter": ";"})


@pytest.mark.parametrize("name", ["orc", None, 7, ["csv"]])
def test_a_format_that_nobody_knows_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen(name, "fail", {})
    assert "'jsonl'" in str(caught.value)


def test_an_option_of_another_format_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="JSON lines files have no option 'delimiter'"):
        chosen("jsonl", "fail", {"delimiter": ";"})
    with pytest.raises(ArgumentTypeError, match="columns, types, delimiter"):
        chosen("csv", "fail", {"seperator": ";"})
