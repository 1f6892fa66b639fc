"""docs/migration.md has a row for every public method of Spark, and names no method of ours that is not there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.model.accumulator import Accumulator
from millstream.model.broadcast import Broadcast
from millstream.rdd.statistics import Statistics

API: dict[str, Any] = json.loads(Path(__file__).with_name("spark_api.json").read_text())
PAGE = (Path(__file__).parents[3] / "docs" / "migration.md").read_text()
SECTIONS = {name for name in API if name != "about"}
OURS: dict[str, tuple[type, ...]] = {
    "StreamingContext": (ms.StreamingContext,),
    "DStream": (ms.DStream, ms.StreamingContext, ms.RDD),
    "State and StateSpec": (ms.State, ms.StateSpec, ms.DStream),
    "RDD": (ms.RDD, Statistics),
    "SparkContext": (ms.Context, ms.RDD, ms.StreamingContext),
    "Shared values": (Broadcast, Accumulator, ms.Context),
    "Receiver": (ms.Receiver, ms.StreamingContext),
    "Listeners": (ms.StreamingListener, ms.StreamingContext),
}


def rows(section: str) -> list[list[str]]:
    """Give the cells of the table's rows in a section."""
    text = re.split(rf"^## {re.escape(section)}$", PAGE, flags=re.M)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def names_in(cell: str) -> list[str]:
    """Give the names of methods in a cell: `map`, `reduce(f)`."""
    return [re.split(r"[(\[ =]", code)[0] for code in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_method_of_spark_has_a_row(section: str) -> None:
    table = rows(section)
    known = {name for row in table for name in names_in(row[0])}
    wanted = {name for methods in API[section].values() for name in methods.split()}
    assert sorted(wanted - known) == []


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_row_has_what_it_is_here_or_why_it_is_not(section: str) -> None:
    for row in rows(section):
        assert len(row) == 3, f"{row} is no row of three cells"
        assert row[1], f"{row} does not say what it is here"
        if row[1] == "none":
            assert row[2], f"{row} does not say why"


@pytest.mark.parametrize("section", sorted(OURS))
def test_methods_that_rows_name_are_there(section: str) -> None:
    for row in rows(section):
        for name in names_in(row[1]):
            if re.fullmatch(r"[a-z][a-z_]*", name):
                assert any(hasattr(kind, name) for kind in OURS[section]), f"{name} in the row of {row[0]}"
