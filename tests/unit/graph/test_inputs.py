from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.unit.graph.nodes import NoRunner, run_of

from millstream.encoding.rows import pack
from millstream.environment.clock import ManualClock
from millstream.execution.packed import Packed
from millstream.graph.inputs import FeedInput, PlannedInput, QueueInput
from millstream.ingest.encoded_rows import EncodedRows
from millstream.model.label import Label
from millstream.model.partition import Columns, lasting, rows_of
from millstream.model.ports.block_feed import Block
from millstream.rdd.lineage import Held, Union
from millstream.sources.memory import MemoryStream
from millstream.sources.queue import BatchQueue


class Wide(NoRunner):
    default_partitions = 3


def columns(*values: str) -> Columns:
    return Columns(pa.table({"value": list(values)}), scalar=True)


def spread(*parts: Any) -> list[Any]:
    node = FeedInput("feed", 10, MemoryStream[Any](ManualClock()), Label("memory_stream"))
    blocks = [Block(part, len(part), 10) for part in parts]
    lineage = node.lineage_of(PlannedInput(blocks=blocks), run_of(10, Wide()))
    assert isinstance(lineage, Held)
    return list(lineage.parts)


def test_blocks_are_spread_in_order_over_as_many_partitions_as_can_run() -> None:
    assert spread([1], [2], [3], [4], [5]) == [[1], [2, 3], [4, 5]]
    assert spread([1], [2]) == [[1], [2]]
    assert spread() == [[]]


def test_columns_that_are_put_together_stay_columns() -> None:
    parts = spread(columns("a"), columns("b"), columns("c"), columns("d"))
    assert [type(part) for part in parts] == [Columns] * 3
    assert [rows_of(part) for part in parts] == [["a"], ["b"], ["c", "d"]]


def test_columns_beside_rows_become_rows() -> None:
    assert spread([1], [2], columns("a"), [3])[2] == ["a", 3]


def test_rows_that_another_process_encoded_are_not_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [EncodedRows(len(run), pack(run)) for run in ([1, 2], [3], [4], [5])]
    monkeypatch.setattr(EncodedRows, "__iter__", None)
    parts = spread(*blocks)
    lasting_parts = [lasting(part) for part in parts]
    packed = [Packed.of(part) for part in lasting_parts]
    monkeypatch.undo()
    assert [len(part) for part in packed] == [2, 1, 2]
    assert [list(part.unpack()) for part in packed] == [[1, 2], [3], [4, 5]]


@pytest.mark.parametrize("one_at_a_time", [True, False])
def test_a_queue_says_how_many_records_it_gives(one_at_a_time: bool) -> None:
    queue: Any = BatchQueue([[1, 2], [3]], one_at_a_time=one_at_a_time)
    node = QueueInput("queue", 10, queue, 1, Label("queue_stream"))
    first, second = node.plan(), node.plan()
    assert (first.records, second.records) == ((2, 1) if one_at_a_time else (3, 0))
    lineage = node.lineage_of(first, run_of(10))
    assert isinstance(lineage, Held if one_at_a_time else Union)
    empty = node.lineage_of(node.plan(), run_of(30))
    assert isinstance(empty, Held)
    assert empty.parts == [[]]
