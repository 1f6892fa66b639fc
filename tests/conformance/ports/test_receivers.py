from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from tests.conformance.ports.line_receiver import LineReceiver, LineServer

from millstream.model.ports.receiver import Receiver
from millstream.testing.conformance import ReceiverSuite


class Lines(ReceiverSuite):
    whole_blocks: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        self.server = LineServer()
        yield
        self.server.close()

    def make_receiver(self) -> Receiver[Any]:
        return LineReceiver(self.server.port, whole_blocks=self.whole_blocks)

    def send(self, records: list[Any]) -> None:
        self.server.send(records)


class TestRecordByRecordInThreads(Lines):
    pass


class TestRecordByRecordInAProcess(Lines):
    process = True


class TestWholeBlocksInThreads(Lines):
    whole_blocks = True


class TestWholeBlocksInAProcess(Lines):
    process = True
    whole_blocks = True
