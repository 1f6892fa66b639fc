"""Every error that the package raises has all its parts: what happened, the facts, and what to do."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import millstream
from millstream import errors

PACKAGE = Path(millstream.__file__).parent
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.MillstreamError)
}


def _made() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                yield f"{file.relative_to(PACKAGE)}:{node.lineno} {node.func.id}", node


def test_every_error_has_detail_and_hint() -> None:
    incomplete = []
    for place, call in _made():
        given = {keyword.arg for keyword in call.keywords}
        # An internal error asks for a report, and its facts are added where it leaves the machine.
        if "InternalError" not in place and not given >= {"detail", "hint"}:
            incomplete.append(place)
    assert not incomplete


@pytest.mark.parametrize("name", KINDS)
def test_every_error_travels(name: str) -> None:
    kind = KINDS[name]
    more = {"operator": "map", "batch_time_ms": 5, "record": "r"} if kind is errors.UserCodeError else {}
    error = kind("It broke.", detail="a fact", hint="a way", **more)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == "It broke.\nDetail: a fact\nHint: a way"
    assert vars(again) == vars(error)
