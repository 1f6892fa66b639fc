"""The way of blocks out of a receiver's process."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from millstream.encoding.rows import pack
from millstream.errors import LifecycleError, ShippingError, SourceUnavailableError, shown
from millstream.ingest.block_buffer import BlockBuffer
from millstream.ingest.frame_socket import FrameSocket
from millstream.model.partition import rows_of
from millstream.model.ports.block_feed import FeedEvent

FLUSH_MS = 2
"""How long single records are gathered before they are sent, milliseconds."""

LOOK_S = 1.0
"""How long the sender waits for a first record before it looks whether it has to end."""


class BlockSender:
    """Sends what a receiver stores to the driver's process, in the order in which it was stored.

    Single records are gathered for `FLUSH_MS`. A whole block is sent at once, and waited for until the driver's
    process has stored it.

    Args:
        frames: the way to the driver's process.
        buffer: where single records wait; when it is full, because the driver's process does not read, `store`
            waits.
        report: told about records that cannot be sent.
    """

    def __init__(self, frames: FrameSocket, buffer: BlockBuffer[Any], report: Callable[[FeedEvent], None]) -> None:
        self._frames = frames
        self._buffer = buffer
        self._report = report
        self._order = threading.Lock()
        self._numbers = itertools.count(1)
        self._awaited: dict[int, SimpleQueue[str | None]] = {}
        self._finishing = threading.Event()

    def run(self) -> None:
        """Send single records until `finish`."""
        while not self._finishing.is_set():
            if self._buffer.wait_for_records(1, LOOK_S):
                self._finishing.wait(FLUSH_MS / 1000)
                with self._order:
                    self._flush()

    def finish(self) -> None:
        """Send what is left."""
        self._finishing.set()
        with self._order:
            self._flush()

    def store(self, run: list[Any], position: Any) -> None:
        """Send a whole block and return when the driver's process has stored it.

        Raises:
            ShippingError: a record cannot be encoded.
            SourceUnavailableError: the driver's process is gone.
        """
        try:
            payload = pack(run)
        except ShippingError as error:
            raise _unsendable(run, error) from error
        self._buffer.admit(len(run))
        number = next(self._numbers)
        answer: SimpleQueue[str | None] = SimpleQueue()
        self._awaited[number] = answer
        with self._order:
            self._flush()
            sent = self._frames.send_block(number, len(run), position, payload)
        if not sent:
            raise SourceUnavailableError(
                "The driver's process is gone.",
                detail=f"{len(run)} records could not be handed over.",
                hint="Stop; the process ends by itself.",
            )
        refusal = answer.get()
        if refusal is not None:
            raise LifecycleError("The block was not stored.", detail=refusal, hint="Do not acknowledge it.")

    def note_stored(self, number: int, refusal: str | None) -> None:
        """Let the `store` return, or raise, that waits for the block of this number."""
        self._awaited.pop(number).put(refusal)

    def _flush(self) -> None:
        for block in self._buffer.take(sys.maxsize):
            run = list(rows_of(block.data))
            try:
                payload = pack(run)
            except ShippingError as error:
                sendable = [record for record in run if _can_be_sent(record)]
                lost = len(run) - len(sendable)
                self._report(FeedEvent("error", f"{lost} records were lost.", _unsendable(run, error)))
                run, payload = sendable, pack(sendable)
            if run:
                self._frames.send_block(0, len(run), block.position, payload)


def _unsendable(run: list[Any], cause: ShippingError) -> ShippingError:
    culprit = next((record for record in run if not _can_be_sent(record)), run)
    error = ShippingError(
        "A record cannot be sent from the receiver's process.",
        detail=f"{shown(culprit)}: {cause.detail}",
        hint="Store plain data, or run the receiver with process=False.",
    )
    error.__cause__ = cause
    return error


def _can_be_sent(record: Any) -> bool:
    try:
        pack(record)
    except ShippingError:
        return False
    return True
