from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from millstream.sources.formats.file_format import MalformedFileError
from millstream.sources.formats.unpacked import PACKED_SUFFIXES, unpacked

CONTENT = b"to be\nor not\n" * 1_000


def packed(suffix: str) -> bytes:
    if suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(CONTENT)
        return bytes(sink.getvalue())
    methods: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    return methods[suffix](CONTENT)


@pytest.mark.parametrize("suffix", PACKED_SUFFIXES)
def test_a_file_is_unpacked_by_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(packed(suffix) * 2)
    assert unpacked(str(path)) == CONTENT * 2
    assert unpacked(f"s3://bucket/a.csv{suffix}", packed(suffix)) == CONTENT


@pytest.mark.parametrize("suffix", PACKED_SUFFIXES)
@pytest.mark.parametrize("damage", ["cut", "none"])
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(packed(suffix)[:-7] if damage == "cut" else b"no such file")
    with pytest.raises(MalformedFileError, match="cannot be unpacked") as caught:
        unpacked(str(path))
    assert str(path) in str(caught.value)
    assert f"not end in {suffix}" in str(caught.value)
