from __future__ import annotations

from typing import Any

import pytest

from millstream.model.ports.replayable_source import ReplayableSource
from millstream.testing.conformance import ListSource, ReplayableSourceSuite


class TestListSource(ReplayableSourceSuite):
    @pytest.fixture(autouse=True)
    def outside(self) -> None:
        self.list: list[Any] = []

    def make_source(self) -> ReplayableSource[Any]:
        return ListSource(self.list)

    def add(self, records: list[Any]) -> None:
        self.list.extend(records)
