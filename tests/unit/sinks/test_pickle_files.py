from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.pickle_files import PickleFiles
from millstream.sinks.read_committed import read_committed

T1 = 1_763_801_714_000


def write(path: Path, rows: list[Any]) -> None:
    sink = PickleFiles(path)
    sink.open(SinkLineage("lineage-1", "out"))
    sink.commit(Batch(T1), [sink.stage(Batch(T1), 0, Partition(rows))])


def test_any_object_comes_back(tmp_path: Path) -> None:
    rows = [1, {"a": {2}}, b"\xff", None, (complex(1, 2), range(3))]
    write(tmp_path, rows)
    assert read_committed(tmp_path, allow_pickle=True) == rows


def test_classes_that_no_module_names_go_along(tmp_path: Path) -> None:
    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    write(tmp_path, [Local(7)])
    (record,) = read_committed(tmp_path, allow_pickle=True)
    assert record.x == 7


def test_nothing_is_unpickled_unless_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("unpickled")

    write(tmp_path, [1])
    monkeypatch.setattr(pickle, "loads", never)
    with pytest.raises(ConfigurationError, match="not read unless they are allowed") as caught:
        read_committed(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "allow_pickle=True" in str(caught.value)


def test_a_record_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="cannot be pickled") as caught:
        write(tmp_path, [1, ("here", threading.Lock())])
    assert "('here', <unlocked" in str(caught.value)
    assert list(tmp_path.rglob("*.pickle")) == []
