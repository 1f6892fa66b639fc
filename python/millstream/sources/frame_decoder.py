"""Frames in a stream of bytes: a length, then so many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from millstream.errors import ConfigurationError, SourceUnavailableError, shown

LENGTH_BYTES = 4
FRAME_BYTES_MAX = 2**31 - 1
"""The longest frame whose length can be written."""


class FrameDecoder:
    r"""Cuts a stream into frames; each begins with its length, 4 bytes, big-endian, signed.

    Args:
        max_frame_bytes: the longest frame that is taken, 1 to 2,147,483,647.

    Raises:
        ConfigurationError: the limit cannot work.

    Source:
        Spark's RawNetworkReceiver, whose frames hold serialised blocks and have no limit.

    Example:
        >>> import io
        >>> list(FrameDecoder(10)(io.BytesIO(b"\0\0\0\2ab\0\0\0\0")))
        [b'ab', b'']
    """

    def __init__(self, max_frame_bytes: int) -> None:
        whole = isinstance(max_frame_bytes, int) and not isinstance(max_frame_bytes, bool)
        if not whole or not 1 <= max_frame_bytes <= FRAME_BYTES_MAX:
            raise ConfigurationError(
                "The limit of frames cannot work.",
                detail=f"max_frame_bytes={shown(max_frame_bytes)}.",
                hint=f"Give a whole number of bytes, 1 to {FRAME_BYTES_MAX}.",
            )
        self.max_frame_bytes = max_frame_bytes

    def __call__(self, stream: BinaryIO) -> Iterator[bytes]:
        """Give the frames until the stream ends.

        Raises:
            SourceUnavailableError: a length is negative or above the limit, or the stream ends within a frame. What
                follows cannot be told apart any more.
        """
        offset = 0
        while head := stream.read(LENGTH_BYTES):
            length = int.from_bytes(head, "big", signed=True)
            if len(head) < LENGTH_BYTES:
                raise _cut_off(offset, len(head), LENGTH_BYTES)
            if not 0 <= length <= self.max_frame_bytes:
                raise self._impossible(offset, head, length)
            frame = stream.read(length)
            if len(frame) < length:
                raise _cut_off(offset, LENGTH_BYTES + len(frame), LENGTH_BYTES + length)
            yield frame
            offset += LENGTH_BYTES + length

    def _impossible(self, offset: int, head: bytes, length: int) -> SourceUnavailableError:
        what = "negative" if length < 0 else "too long"
        return SourceUnavailableError(
            f"The server sent a frame whose length is {what}.",
            detail=f"At byte {offset} of the connection: {head.hex(' ')}, which is {length}; "
            f"max_frame_bytes={self.max_frame_bytes}.",
            hint="Check that the server sends lengths of 4 bytes, big-endian, before each frame; or raise the limit. "
            "The connection is made again.",
        )


def _cut_off(offset: int, got: int, expected: int) -> SourceUnavailableError:
    return SourceUnavailableError(
        "The connection ended in the middle of a frame.",
        detail=f"The frame at byte {offset} of the connection has {expected} bytes, of which {got} came.",
        hint="Have the server send whole frames. The connection is made again.",
    )
