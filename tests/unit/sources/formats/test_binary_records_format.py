from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millstream.errors import ConfigurationError
from millstream.model.partition import Columns
from millstream.sources.formats.binary_records_format import BinaryRecordsFormat
from millstream.sources.formats.file_format import MalformedFileError


def test_a_file_is_cut_into_records_of_one_length(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x00\xff\n1ab")
    partition = BinaryRecordsFormat(2).read(str(path)).partition
    assert isinstance(partition.data, Columns)
    assert list(partition.rows()) == [b"\x00\xff", b"\n1", b"ab"]


def test_a_size_that_is_no_multiple_is_refused_with_the_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 10)
    with pytest.raises(MalformedFileError) as caught:
        BinaryRecordsFormat(4).read(str(path))
    assert f"{path}: its 10 bytes are 2 records of 4 bytes and 2 bytes more." in str(caught.value)


@pytest.mark.parametrize("length", [0, -1, 1.5, "4", True, None, 2**31])
def test_a_length_that_cannot_work_is_refused(length: Any) -> None:
    with pytest.raises(ConfigurationError, match="need a length"):
        BinaryRecordsFormat(length)
