"""The format of segments as docs/checkpoint-format.md has it, read and checked without the core."""

from __future__ import annotations

import struct
from typing import NamedTuple

from millstream.blocks.segment import SegmentId


class Group(NamedTuple):
    """A group: number of the first record, durable length, released, and number, kind and data of its records."""

    first: int
    durable: int
    released: int
    records: list[tuple[int, int, bytes]]


def checksum(segment: SegmentId, offset: int, *covered: bytes) -> int:
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in struct.pack("<QQQ", *segment, offset) + b"".join(covered):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read_segment(segment: SegmentId, data: bytes) -> tuple[int, list[tuple[int, ...]], list[Group]]:
    """Give what was released, the earlier segments, and the groups; every byte is looked at."""
    magic, version, zero, length = struct.unpack_from("<8sHHI", data)
    assert (magic, version, zero) == (b"MSTRMLOG", 1, 0)
    first, counter, released, count, zero = struct.unpack_from("<QQQII", data, 16)
    assert (first, counter, zero, length) == (*segment, 0, 52 + 32 * count)
    previous = [struct.unpack_from("<QQQQ", data, 48 + 32 * index) for index in range(count)]
    assert struct.unpack_from("<I", data, length - 4) == (checksum(segment, 0, data[: length - 4]),)
    groups, at = [], length
    while data[at:].strip(b"\0"):
        group, at = _read_group(segment, data, at)
        groups.append(group)
    return released, previous, groups


def _read_group(segment: SegmentId, data: bytes, at: int) -> tuple[Group, int]:
    magic, count, length, first, durable, released, crc = struct.unpack_from("<4sIQQQQI", data, at)
    assert magic == b"\xa7GRP"
    assert crc == checksum(segment, at, data[at : at + 40])
    records, offset = [], at + 44
    for _ in range(count):
        size, index, kind, version, zero, crc = struct.unpack_from("<IIBBHI", data, offset)
        payload = data[offset + 16 : offset + 16 + size]
        assert (version, zero, crc) == (1, 0, checksum(segment, offset, data[offset : offset + 12], payload))
        records.append((first + index, kind, payload))
        offset += 16 + size
    assert offset == at + 44 + length
    return Group(first, durable, released, records), offset
