"""Streams in a notebook: what is shown, cells that are run again, waiting at the top level."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.integration.line_server import REPOSITORY

import millstream as ms
from millstream.testing import ManualClock

PROGRAM = """
import queue
import millstream as ms
ssc = ms.StreamingContext(0.02, backend={backend!r})
seen = queue.SimpleQueue()
numbers = ssc.memory_stream(name="numbers")
numbers.map(lambda n: n * factor).filter(lambda n: n > 0).collect_to(seen)
ssc.start()
"""
FIRST = """
def first():
    while not (records := seen.get(timeout=60)):
        pass
    return records
numbers.push(3)
first()
"""


def run(*cells: str) -> list[dict[str, Any]]:
    """Run cells in a process of their own, and end as the kernel of a notebook does."""
    done = subprocess.run(
        [sys.executable, "tests/integration/notebook.py"],
        input=json.dumps(cells),
        capture_output=True,
        text=True,
        timeout=100,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shown) == len(cells), done.stderr
    return shown


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_cell_that_is_run_again_says_what_to_do_and_then_works(backend: str) -> None:
    program = PROGRAM.format(backend=backend)
    setup, start, result, again, remedy, changed, anew, second, end = run(
        "factor = 2",
        program,
        FIRST,
        program,
        "ms.StreamingContext.active().stop()",
        "factor = 10",
        program,
        FIRST,
        "ssc.stop()",
    )
    assert [cell["error"] for cell in (setup, start, result)] == [None] * 3
    assert result["text"] == "[6]"
    assert again["error"].startswith("LifecycleError: A context named 'main' is active already.")
    assert "ms.StreamingContext.active('main').stop()" in again["error"]
    assert remedy["text"] == "True"
    assert [cell["error"] for cell in (changed, anew, second, end)] == [None] * 4
    assert second["text"] == "[30]"


def test_only_a_part_of_a_program_cannot_be_run_again() -> None:
    cells = run(
        "factor = 1",
        PROGRAM.format(backend="threads"),
        "numbers.map(str).print()",
        "ssc.start()",
        "ssc.stop()",
        "ssc.start()",
    )
    late, twice, stopped = (cells[n]["error"] for n in (2, 3, 5))
    assert "map was called after the context had been started" in late
    assert "Put the whole program together first" in late
    assert "This context is active already" in twice
    assert "Make a new StreamingContext" in stopped


def test_an_error_of_a_cell_s_function_is_shown_where_it_is_waited_for() -> None:
    cells = run(
        "factor = 'x'",
        PROGRAM.format(backend="threads").replace("n > 0", "n / 0"),
        "numbers.push(3)",
        "await ssc.wait()",
        "ssc",
    )
    assert cells[3]["error"].startswith("UserCodeError: ")
    assert "TypeError" in cells[3]["error"]
    assert "stopped" in cells[4]["html"]


def test_a_notebook_can_end_while_its_stream_runs() -> None:
    assert run("factor = 1", PROGRAM.format(backend="threads"))[1]["error"] is None


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert attrs == []

    def handle_data(self, data: str) -> None:
        self.text += f"{data}|"


def text_of(shown: Any) -> str:
    """Give the text of what a notebook shows, once it is known that it is nothing but a table."""
    tags = Tags()
    tags.feed(shown._repr_html_())
    assert tags.tags <= {"table", "caption", "tr", "th", "td"}
    return tags.text


def test_what_a_notebook_shows_of_a_program() -> None:
    clock, completed, seen = ManualClock(), [], []

    class Watch(ms.StreamingListener):
        def on_batch_completed(self, event: ms.BatchCompleted) -> None:
            completed.append(event)

    ssc = ms.StreamingContext(1.0, name="<script>", environment=ms.Environment(clock))
    ssc.add_listener(Watch())
    numbers = ssc.queue_stream([[1, 2]], name="<b>numbers</b>")
    pairs = numbers.map(lambda n: (n, n)).union(ssc.queue_stream([], name="others"))
    counted = pairs.count_by_window(2.0)
    counted.foreach_rdd(lambda rdd, batch: seen.append(batch), name="counts")
    assert "StreamingContext <script>|state|initialized" in text_of(ssc)
    ssc.start()
    clock.advance(1.0)
    context = text_of(ssc)
    assert "active" in context
    assert "<b>numbers</b>, others" in context
    assert "outputs|counts" in context
    stream = text_of(pairs)
    assert stream.index("queue_stream at") < stream.index("map at") < stream.index("union at")
    assert "of <b>numbers</b>" in stream
    assert "count_by_window" not in stream
    assert "test_notebook.py" in text_of(counted)
    assert "1970-01-01T00:00:01" in text_of(seen[0])
    ssc.stop()
    assert "output counts" in text_of(completed[0])
    assert "stopped" in text_of(ssc)
