"""The public names: all there, and loaded only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import millstream


@pytest.mark.parametrize("name", millstream.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(millstream, name).__name__ == name
    assert name in dir(millstream)


def test_a_name_that_is_none_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Contxt'"):
        millstream.Contxt  # noqa: B018


def test_importing_loads_no_room() -> None:
    code = "import sys, millstream; print([m for m in sys.modules if m.startswith('millstream.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
