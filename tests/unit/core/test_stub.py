"""The hand-written stub's examples run, and everything in the module stands in it."""

import ast
import doctest
from pathlib import Path

import pytest

from millstream import _core

STUB = Path(_core.__file__).with_name("_core.pyi")


def documented() -> list[tuple[str, str]]:
    return [
        (node.name, ast.get_docstring(node) or "")
        for node in ast.walk(ast.parse(STUB.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]


@pytest.mark.parametrize(("name", "docstring"), [(n, d) for n, d in documented() if ">>>" in d])
def test_example(name: str, docstring: str) -> None:
    test = doctest.DocTestParser().get_doctest(docstring, dict(vars(_core)), name, str(STUB), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_public_names_are_in_the_stub_and_described() -> None:
    described = {name for name, docstring in documented() if docstring}
    functions_and_classes = {name for name, value in vars(_core).items() if name[0] != "_" and callable(value)}
    assert functions_and_classes <= described


def test_a_release_build_is_tested() -> None:
    assert _core.build_profile == "release"
    assert _core.debug_build() is False
