"""Reading the body of a request, within limits of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from millstream.sources.http.answer import RefusedError

GZIP = 16 + zlib.MAX_WBITS


class RequestBody:
    """Reads one body.

    Args:
        receive: gives the next message of the request, by ASGI.
        max_bytes: the largest body that is taken, also when it is unpacked.
        timeout_s: how long all of it may take to arrive.
    """

    def __init__(self, receive: Callable[[], Awaitable[Any]], max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    def check_length(self, header: bytes | None) -> None:
        """Refuse a body that says itself that it is too large, before any of it is read.

        Raises:
            RefusedError: 413.
        """
        if header is not None and header.isdigit() and int(header) > self._max_bytes:
            raise self._too_large()

    async def read(self) -> bytes:
        """Give the whole body.

        Raises:
            RefusedError: 413, 408, or the sender went away in the middle of it.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read()
        except TimeoutError as error:
            raise RefusedError(
                408,
                f"The body did not arrive within {self._timeout_s:g} s.",
                report="whose body stopped half way",
                headers={"connection": "close"},
            ) from error

    async def _read(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "The body stopped half way.", report="whose body stopped half way")
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def unpacked(self, body: bytes, encoding: bytes) -> bytes:
        """Undo the content encoding.

        Raises:
            RefusedError: 415 for another one than gzip, 400 for a broken one, 413 for one that unpacks to too much.
        """
        if encoding in (b"", b"identity"):
            return body
        if encoding not in (b"gzip", b"x-gzip"):
            raise RefusedError(
                415, "The content encoding must be gzip or identity.", headers={"accept-encoding": "gzip"}
            )
        unpacker = zlib.decompressobj(GZIP)
        try:
            whole = unpacker.decompress(body, self._max_bytes + 1)
        except zlib.error as error:
            raise RefusedError(
                400, f"The body is no gzip: {error}.", report="with a body that cannot be decoded"
            ) from error
        if len(whole) > self._max_bytes:
            raise self._too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise RefusedError(400, "The gzip of the body is not whole.", report="with a body that cannot be decoded")
        return whole

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413,
            f"The body is larger than {self._max_bytes} bytes.",
            report="with a body that is too large",
            fields={"max_body_bytes": self._max_bytes},
        )
