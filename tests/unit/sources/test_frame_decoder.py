from __future__ import annotations

import io
from typing import Any

import pytest

from millstream.errors import ConfigurationError, SourceUnavailableError
from millstream.sources.frame_decoder import FrameDecoder


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


def test_frames_are_cut_by_their_lengths() -> None:
    assert list(FrameDecoder(3)(io.BytesIO(framed(b"abc", b"", b"d")))) == [b"abc", b"", b"d"]
    assert list(FrameDecoder(3)(io.BytesIO())) == []


@pytest.mark.parametrize(
    ("bad", "problem", "detail"),
    [
        (b"\xff\xff\xff\xfb", "is negative", "At byte 6 of the connection: ff ff ff fb, which is -5"),
        (b"\x00\x00\x00\x04abcd", "is too long", "00 00 00 04, which is 4; max_frame_bytes=3"),
        (b"\x00\x00\x00\x03ab", "in the middle", "at byte 6 of the connection has 7 bytes, of which 6 came"),
        (b"\x00\x00", "in the middle", "at byte 6 of the connection has 4 bytes, of which 2 came"),
    ],
)
def test_what_is_no_frame_is_refused_behind_those_before_it(bad: bytes, problem: str, detail: str) -> None:
    frames = FrameDecoder(3)(io.BytesIO(framed(b"ab") + bad))
    assert next(frames) == b"ab"
    with pytest.raises(SourceUnavailableError, match=problem) as caught:
        next(frames)
    assert detail in str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, 2**31, 1.5, True, None])
def test_a_limit_that_cannot_work_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot work"):
        FrameDecoder(limit)
