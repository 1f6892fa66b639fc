"""The other end of the receiver: it sends blocks until they are acknowledged, and again when they were not."""

from __future__ import annotations

import json
import random
import socket
from collections import deque

KEYS = tuple(f"k{number}" for number in range(24))
IN_FLIGHT_MAX = 4


class Sender:
    """Numbered blocks, each with its position, over a socket that never blocks the one who drives it.

    Args:
        chance: decides about sizes, keys, and which acknowledgements get lost.

    Attributes:
        sent: the records of each block, by position from 1 on.
        credit: how many more blocks may be begun.
        records: how many records were made.
        repeated: how many blocks were sent again.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None
        self.sent: list[list[tuple[str, int]]] = []
        self.credit = 0
        self.repeated = 0
        self._acknowledged = 0
        self._answers = b""
        self._flying: deque[int] = deque()
        self.records = 0

    @property
    def is_done(self) -> bool:
        """Whether all that was begun is acknowledged."""
        return self._acknowledged == len(self.sent)

    def accept(self) -> None:
        """Take the program's connection; what was not acknowledged on the one before goes again."""
        self.hang_up()
        self.connection, _ = self.listener.accept()
        self._answers = b""
        self._flying.clear()
        if self._acknowledged and self._chance.random() < 0.3:
            # The acknowledgement was on its way when the connection ended.
            self._acknowledged -= 1
        self.send()

    def send(self) -> None:
        """Send what may be in flight."""
        connection = self.connection
        while connection is not None and len(self._flying) < IN_FLIGHT_MAX:
            position = (self._flying[-1] if self._flying else self._acknowledged) + 1
            if position > len(self.sent):
                if self.credit <= 0:
                    return
                self.credit -= 1
                self.sent.append(self._block())
            else:
                self.repeated += 1
            self._flying.append(position)
            try:
                connection.sendall(json.dumps([position, self.sent[position - 1]]).encode() + b"\n")
            except OSError:
                self.hang_up()
                return

    def hear(self) -> None:
        """Take acknowledgements."""
        assert self.connection is not None
        try:
            data = self.connection.recv(65_536)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return
        *lines, self._answers = (self._answers + data).split(b"\n")
        for line in lines:
            assert self._flying.popleft() == int(line)
            self._acknowledged = int(line)
        self.send()

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def close(self) -> None:
        self.hang_up()
        self.listener.close()

    def rows(self, count: int) -> list[tuple[str, int]]:
        """Make records that are like no others."""
        first, self.records = self.records, self.records + count
        return [(self._chance.choice(KEYS), n) for n in range(first, first + count)]

    def _block(self) -> list[tuple[str, int]]:
        return self.rows(self._chance.randint(1, 12))
