"""The tests that documents name are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

DOCUMENTS = ["docs/fault-tolerance.md", "docs/recovery.md", "docs/upgrading.md"]

CITED = re.compile(r"`(tests/[\w/]+(?:\.py)?)?(?:::(\w+))?`")
"""A file, a folder, `file::test`, or `::test` for another test of the file named before."""


def cited(text: str) -> list[tuple[str, str | None]]:
    """Give each path that a document names, and the test of it, if it names one."""
    found: list[tuple[str, str | None]] = []
    file = ""
    for match in CITED.finditer(text):
        file = match[1] or file
        found.append((file, match[2]))
    return found


def is_there(file: str, test: str | None) -> bool:
    path = ROOT / file
    if test is None:
        return path.exists()
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text())
    named = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return test in named and test.lower().startswith("test")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tests_that_a_document_names_are_there(document: str) -> None:
    named = cited((ROOT / document).read_text())
    assert named
    assert [f"{file}::{test}" if test else file for file, test in named if not is_there(file, test)] == []


def test_a_name_that_is_not_there_is_found() -> None:
    here = "tests/unit/documents/test_cited_tests.py"
    text = f"`{here}::test_a_name_that_is_not_there_is_found`, `::test_gone`, `tests/gone`"
    assert [is_there(*name) for name in cited(text)] == [True, False, False]


def test_every_guarantee_has_a_test_by_name() -> None:
    rows = [line for line in (ROOT / "docs/fault-tolerance.md").read_text().splitlines() if line.startswith("| ")]
    guarantees = [row for row in rows if not row.startswith(("| input |", "| output |"))]
    assert [row for row in guarantees if not any(test for _, test in cited(row))] == []
    assert [row for row in guarantees if any(test is None for _, test in cited(row))] == []


def test_each_change_that_a_program_survives_names_what_shows_it() -> None:
    text = (ROOT / "docs/upgrading.md").read_text()
    table = text.partition("| change | what happens | shown by |\n")[2].partition("\n\n")[0]
    rows = table.splitlines()[1:]
    assert len(rows) >= 20
    assert [row for row in rows if not any(test for _, test in cited(row.split(" | ")[-1]))] == []
