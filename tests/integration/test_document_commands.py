"""The commands in the documents exist, with the arguments that they are given."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.integration.line_server import REPOSITORY
from tests.integration.test_documents import DOCUMENTS, relative

from millstream.cli.command_line import _parser

FENCE = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

INLINE = re.compile(r"`((?:make|python -m) [^`]+)`")


def commands(text: str) -> list[list[str]]:
    """The commands in blocks of shell and between backticks, split into words, without comments."""
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
    lines += INLINE.findall(text)
    wanted = [line for line in lines if re.match(r"(make|millstream|python) ", line)]
    return [shlex.split(line, comments=True) for line in wanted]


PROGRAMS = sorted(Path(REPOSITORY, "examples").glob("*.py"))


def text_of(path: Path) -> str:
    """The text of a document, or the docstring of a program with its indented commands."""
    text = path.read_text()
    return text if path.suffix == ".md" else re.sub(r"(?m)^    (.*)$", r"```\n\1\n```", text.split('"""')[1])


@pytest.mark.parametrize("document", [*DOCUMENTS, *PROGRAMS], ids=relative)
def test_the_commands_of_a_document_exist(document: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", Path(REPOSITORY, "Makefile").read_text()))
    for program, *arguments in commands(text_of(document)):
        if program == "make":
            named = [argument for argument in arguments if "=" not in argument]
            assert set(named) <= targets, (program, *arguments)
        elif program == "millstream" and "--help" not in arguments and "|" not in arguments:
            _parser().parse_args(arguments)
        elif program == "python" and arguments[0] == "-m" and arguments[1] != "pytest":
            assert find_spec(arguments[1]) is not None, arguments
        elif program == "python" and arguments[0].startswith("examples/"):
            assert Path(REPOSITORY, arguments[0]).exists(), arguments
