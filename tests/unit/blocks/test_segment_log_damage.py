"""What a log makes of files that are torn, damaged, missing or foreign."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.unit.blocks.segment_bytes import checksum

from millstream.blocks.segment import SegmentId, TornTail
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError

PAYLOADS = [b"one", b"", b"three" * 10, b"four", b"5" * 300]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "checkpoint")


def small_log(storage: LocalStorage, *, segment_bytes: int = 2000) -> Path:
    """Make a log of five groups in one segment, as a process leaves it that is killed; give the segment's path."""
    log = SegmentLog(storage, "log", segment_bytes=segment_bytes)
    for payload in PAYLOADS:
        log.append([(7, payload)])
    return segments(storage)[-1]


def segments(storage: LocalStorage) -> list[Path]:
    return [Path(storage.place, "log", name) for name in storage.names("log")]


def payloads(storage: LocalStorage) -> list[bytes]:
    return [record.data for record in SegmentLog(storage, "log", read_only=True).read()]


def group_ends(file: Path) -> list[int]:
    """Where the header ends, and each group."""
    ends = [52]
    for payload in PAYLOADS:
        ends.append(ends[-1] + 44 + 16 + len(payload))
    assert not file.read_bytes()[ends[-1] :].strip(b"\0")
    return ends


def test_cut_anywhere_it_gives_whole_groups_only(storage: LocalStorage) -> None:
    file = small_log(storage)
    ends = group_ends(file)
    whole = file.read_bytes()
    for length in range(ends[-1] + 1):
        file.write_bytes(whole[:length])
        log = SegmentLog(storage, "log", read_only=True)
        groups = sum(end <= length for end in ends[1:])
        assert [record.data for record in log.read()] == PAYLOADS[:groups]
        begins = max((end for end in ends if end <= length), default=0)
        if length in ends or length == 0:
            assert log.torn is None
        else:
            assert log.torn is not None
            assert log.torn.offset == (begins if groups or length >= ends[0] else 0)


def test_cut_anywhere_and_filled_with_zeros(storage: LocalStorage) -> None:
    file = small_log(storage)
    ends = group_ends(file)
    whole = file.read_bytes()
    for length in range(ends[-1] + 1):
        file.write_bytes(whole[:length].ljust(len(whole), b"\0"))
        log = SegmentLog(storage, "log", read_only=True)
        found = [record.data for record in log.read()]
        assert found == PAYLOADS[: len(found)]
        assert len(found) >= sum(end <= length for end in ends[1:])


def test_a_torn_tail_is_cut_and_reported_again_and_again_until_something_is_appended(storage: LocalStorage) -> None:
    file = small_log(storage)
    ends = group_ends(file)
    content = bytearray(file.read_bytes())
    content[ends[-1] - 1] ^= 1
    file.write_bytes(content)
    torn = TornTail(f"log/{file.name}", ends[-2], 44 + 16 + 300)
    for _ in range(3):
        log = SegmentLog(storage, "log")
        assert (log.torn, log.next_number) == (torn, 4)
        assert [record.data for record in log.read()] == PAYLOADS[:4]
    assert log.append([(7, b"after")]) == 4
    assert payloads(storage) == [*PAYLOADS[:4], b"after"]
    again = SegmentLog(storage, "log")
    assert (again.torn, again.next_number) == (None, 5)


def test_every_flipped_bit_below_the_durable_length_is_found(storage: LocalStorage) -> None:
    file = small_log(storage)
    durable = group_ends(file)[-2]
    whole = file.read_bytes()
    for at in range(durable):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        with pytest.raises(CorruptSegmentError) as caught:
            SegmentLog(storage, "log")
        text = str(pickle.loads(pickle.dumps(caught.value)))
        assert str(file) in text
        assert int(text.split("at byte ")[1].split(":")[0]) <= at
    assert [path.read_bytes() for path in segments(storage)] == [bytes(damaged)], "nothing is changed"


def test_every_flipped_bit_of_a_closed_segment_is_found(storage: LocalStorage) -> None:
    small_log(storage, segment_bytes=600)
    first = segments(storage)[0]
    assert payloads(storage) == PAYLOADS
    whole = first.read_bytes()
    log = SegmentLog(storage, "log")
    for at in range(len(whole.rstrip(b"\0"))):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        first.write_bytes(damaged)
        with pytest.raises(CorruptSegmentError, match=first.name):
            list(log.read())


def test_zeros_over_durable_records_are_found(storage: LocalStorage) -> None:
    file = small_log(storage)
    ends = group_ends(file)
    content = bytearray(file.read_bytes())
    content[ends[1] : ends[2]] = bytes(ends[2] - ends[1])
    file.write_bytes(content)
    with pytest.raises(CorruptSegmentError, match=f"at byte {ends[1]}"):
        SegmentLog(storage, "log")


def three_segments(storage: LocalStorage) -> list[Path]:
    log = SegmentLog(storage, "log", segment_bytes=600)
    for _ in range(9):
        log.append([(7, b"x" * 100)])
    assert len(segments(storage)) == 3
    return segments(storage)


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_segment_is_found_when_the_log_is_opened(storage: LocalStorage, which: int) -> None:
    file = three_segments(storage)[which]
    file.unlink()
    with pytest.raises(CorruptSegmentError, match=f"{file.name} at byte 0: the file is missing"):
        SegmentLog(storage, "log")


@pytest.mark.parametrize("which", [0, 1])
def test_a_short_segment_is_found_when_the_log_is_opened(storage: LocalStorage, which: int) -> None:
    file = three_segments(storage)[which]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptSegmentError, match=file.name):
        SegmentLog(storage, "log")


def test_a_segment_that_vanishes_while_the_log_is_open_is_found(storage: LocalStorage) -> None:
    files = three_segments(storage)
    log = SegmentLog(storage, "log")
    files[1].unlink()
    with pytest.raises(CorruptSegmentError, match=f"{files[1].name} at byte 0: the file is missing"):
        list(log.read())


def test_a_begun_segment_without_those_before_is_found(storage: LocalStorage) -> None:
    files = three_segments(storage)
    for file in files[:2]:
        file.unlink()
    files[2].write_bytes(bytes(600))
    with pytest.raises(CorruptSegmentError, match="the segments before it are missing"):
        SegmentLog(storage, "log")


def test_a_segment_that_was_only_begun_does_not_count(storage: LocalStorage) -> None:
    three_segments(storage)
    begun = Path(storage.place, "log", SegmentId(9, 3).name)
    for content in (b"", bytes(600), b"garbage" * 50):
        begun.write_bytes(content)
        log = SegmentLog(storage, "log", read_only=True)
        assert len(list(log.read())) == 9
        assert (log.torn is not None) == content.startswith(b"garbage")
    log = SegmentLog(storage, "log")
    log.append([(7, b"after")])
    assert not begun.exists()
    assert [record.number for record in SegmentLog(storage, "log").read()] == list(range(10))


def test_a_segment_of_another_place_or_log_is_not_taken(storage: LocalStorage, tmp_path: Path) -> None:
    file = small_log(storage)
    foreign = Path(storage.place, "log", SegmentId(5, 1).name)
    foreign.write_bytes(file.read_bytes())
    log = SegmentLog(storage, "log", read_only=True)
    assert [record.data for record in log.read()] == PAYLOADS
    assert log.torn is not None
    assert log.torn.file == f"log/{foreign.name}"


def test_a_newer_format_is_refused_and_kept(storage: LocalStorage) -> None:
    from millstream._core import segment_header

    file = small_log(storage)
    header = bytearray(segment_header((0, 1), 0, []))
    newer = Path(storage.place, "log", SegmentId(0, 1).name)
    header[8] = 2
    header[-4:] = checksum(SegmentId(0, 1), 0, bytes(header[:-4])).to_bytes(4, "little")
    newer.write_bytes(header)
    for _ in range(2):
        with pytest.raises(IncompatibleCheckpointError, match="newer release"):
            SegmentLog(storage, "log")
    assert newer.exists()
    assert file.exists()
