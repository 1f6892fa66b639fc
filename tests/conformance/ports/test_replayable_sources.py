from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from millstream.model.ports.replayable_source import ReplayableSource
from millstream.sources.text_files import TextFileSource
from millstream.testing.conformance import ListSource, ReplayableSourceSuite


class TestListSource(ReplayableSourceSuite):
    @pytest.fixture(autouse=True)
    def outside(self) -> None:
        self.list: list[Any] = []

    def make_source(self) -> ReplayableSource[Any]:
        return ListSource(self.list)

    def add(self, records: list[Any]) -> None:
        self.list.extend(records)


class TestTextFileSource(ReplayableSourceSuite):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.files = 0

    def make_source(self) -> ReplayableSource[Any]:
        return TextFileSource(self.path)

    def add(self, records: list[Any]) -> None:
        self.files += 1
        (self.path / f"{self.files:03d}.txt").write_text("".join(f"{record}\n" for record in records))


class TestCompressedTextFileSource(TestTextFileSource):
    def add(self, records: list[Any]) -> None:
        self.files += 1
        content = "".join(f"{record}\n" for record in records).encode()
        (self.path / f"{self.files:03d}.txt.gz").write_bytes(gzip.compress(content))
