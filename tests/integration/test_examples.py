"""The programs in examples/ do what they say, each over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.integration.line_server import LineServer, Program


@contextmanager
def example(name: str) -> Iterator[tuple[Program, LineServer]]:
    with LineServer() as server, Program([f"examples/{name}.py", "127.0.0.1", str(server.port)]) as program:
        server.accept()
        yield program, server
        program.interrupt()
        status, complaint = program.end()
        assert status == 0, complaint
        assert "Traceback" not in complaint


def test_counts_the_words_of_a_batch() -> None:
    with example("network_word_count") as (program, server):
        server.send("to be or not to be")
        program.read_until(lambda line: "('to', 2)" in line or "('be', 2)" in line or "('or', 1)" in line)
        server.send("to go")
        program.read_until(lambda line: "('go', 1)" in line)
        assert "('to', 3)" not in "".join(program.seen)


def test_counts_the_words_of_all_batches() -> None:
    with example("stateful_network_word_count") as (program, server):
        server.send("to be")
        program.read_until(lambda line: "('be', 1)" in line)
        server.send("or not to be")
        program.read_until(lambda line: "('be', 2)" in line)


def test_shows_the_top_words_of_a_window() -> None:
    with example("windowed_top_words") as (program, server):
        server.send("a b c a b a")
        program.read_until(lambda line: line.endswith("a 3, b 2, c 1"))
        server.send("c c c")
        program.read_until(lambda line: "c 4" in line)


@pytest.mark.parametrize("name", ["network_word_count", "stateful_network_word_count", "windowed_top_words"])
def test_says_how_it_is_used(name: str) -> None:
    with Program([f"examples/{name}.py"]) as program:
        status, complaint = program.end()
    assert status == 1
    assert complaint.startswith(f"usage: {name}.py HOST PORT")
