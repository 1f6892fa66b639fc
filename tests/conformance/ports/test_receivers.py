from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import pytest
from tests.conformance.ports.line_receiver import LineReceiver, LineServer

from millstream.model.ports.receiver import Receiver
from millstream.sources.frame_decoder import FrameDecoder
from millstream.sources.socket_receiver import SocketReceiver
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


def decoded_lines(stream: BinaryIO) -> Iterator[str]:
    for line in stream:
        yield line.decode().rstrip("\n")


class TestDecodedLines(Lines):
    def make_receiver(self) -> Receiver[Any]:
        return SocketReceiver("127.0.0.1", self.server.port, decoded_lines)


class TestDecodedLinesInAProcess(TestDecodedLines):
    process = True


class TestFrames(Lines):
    def make_receiver(self) -> Receiver[Any]:
        return SocketReceiver("127.0.0.1", self.server.port, FrameDecoder(1_000))

    def record(self, number: int) -> Any:
        return f"record\n{number}".encode()

    def send(self, records: list[Any]) -> None:
        self.server.send_bytes(b"".join(len(record).to_bytes(4, "big") + record for record in records))


class TestFramesInAProcess(TestFrames):
    process = True
