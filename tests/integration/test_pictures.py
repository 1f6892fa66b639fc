"""The pictures in the documents show what the programs in them put out."""

from __future__ import annotations

from pathlib import Path

from docs.pictures.families import pictures
from tests.integration.line_server import REPOSITORY


def test_the_pictures_show_what_their_programs_do() -> None:
    folder = Path(REPOSITORY, "docs", "pictures")
    stored = {path.stem: path.read_text() for path in folder.glob("*.svg")}
    assert stored == pictures(), "draw them anew: python -m docs.pictures"
