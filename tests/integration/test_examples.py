"""The programs in examples/ do what they say, each over a real socket."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.kafka.kafka_reader import read_topic
from tests.integration.line_server import REPOSITORY, LineServer, Program
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms


@contextmanager
def example(name: str, *arguments: str) -> Iterator[tuple[Program, LineServer]]:
    with LineServer() as server, Program([f"examples/{name}.py", "127.0.0.1", str(server.port), *arguments]) as program:
        server.accept()
        yield program, server
        interrupt(program)


def interrupt(program: Program) -> None:
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


def test_counts_the_batches_of_a_queue() -> None:
    with Program(["examples/queue_stream.py"]) as program:
        status, complaint = program.end()
    assert (status, complaint) == (0, "")
    assert program.seen.count("(7, 100)") == 5


def test_counts_the_words_of_files(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (tmp_path / "words.txt").write_text("to be or not to be\n")
    with Program(["examples/hdfs_word_count.py", str(incoming)]) as program:
        program.read_until(lambda line: line.startswith("Time:"))
        (tmp_path / "words.txt").rename(incoming / "words.txt")
        program.read_until(lambda line: line == "('be', 2)")
        interrupt(program)


def test_counts_the_words_of_batches_by_sql() -> None:
    with example("sql_network_word_count") as (program, server):
        server.send("b a b")
        program.read_until(lambda line: line.split() == ["│", "b", "┆", "2", "│"])
        program.read_until(lambda line: line.split() == ["│", "a", "┆", "1", "│"])


def test_shows_the_words_that_are_felt_most() -> None:
    with example("network_word_join_sentiments", "examples/sentiments.tsv") as (program, server):
        server.send("The best code is clean code.", "Clean, not ugly!")
        assert program.read_until(lambda line: line.startswith("(")) in ("(4, 'best')", "(4, 'clean')")
        program.read_until(lambda line: line == "(-3, 'ugly')")
        assert "code" not in "".join(program.seen)


def test_goes_on_where_a_kill_left_it(tmp_path: Path) -> None:
    program_text = Path(REPOSITORY, "examples", "recoverable_network_word_count.py").read_text()
    app, output = tmp_path / "app.py", tmp_path / "output"
    app.write_text(program_text.replace("batch_interval=1.0", "batch_interval=0.2"))
    with LineServer() as server:
        started = [str(app), "127.0.0.1", str(server.port), str(tmp_path / "checkpoint"), str(output)]
        with Program(started) as program:
            server.accept()
            server.send("the to be the")
            program.read_until(lambda line: "{'to': 1, 'be': 1} and 2 excluded" in line)
            server.hang_up()
            program.process.send_signal(signal.SIGKILL)
        with Program(started) as program:
            server.accept()
            server.send("or not to be")
            program.read_until(lambda line: "'to': 2" in line)
            interrupt(program)
    lines = [str(line) for line in ms.read_committed(output)]
    assert sorted(lines) == ["be 1", "be 2", "not 1", "or 1", "to 1", "to 2"]


def test_counts_the_words_of_a_topic_into_another_one(kafka: KafkaTool, tmp_path: Path) -> None:
    program_text = Path(REPOSITORY, "examples", "kafka_word_count.py").read_text()
    app, source, target = tmp_path / "app.py", kafka.topic(), kafka.topic()
    app.write_text(
        program_text.replace("batch_interval=2.0", "batch_interval=0.5").replace(
            "slide: float = 2.0", "slide: float = 0.5"
        )
    )
    started = [str(app), kafka.servers, source, target, str(tmp_path / "checkpoint")]

    def newest() -> dict[str, int]:
        """Give the newest count of each word."""
        seen = read_topic(kafka.servers, target)
        return {(record.key or b"").decode(): json.loads(record.value or b"")["count"] for record in seen}

    for line, counts in (("to be to", {"to": 2, "be": 1}), ("or be", {"to": 2, "be": 2, "or": 1})):
        kafka.produce(source, [line])
        with Program(started) as program:
            while newest() != counts:
                assert program.process.poll() is None
            program.process.send_signal(signal.SIGKILL)


ARGUMENTS = {
    "hdfs_word_count": "DIRECTORY",
    "kafka_word_count": "SERVERS SOURCE_TOPIC TARGET_TOPIC CHECKPOINT",
    "network_word_count": "HOST PORT",
    "network_word_join_sentiments": "HOST PORT TABLE",
    "recoverable_network_word_count": "HOST PORT CHECKPOINT OUTPUT",
    "sql_network_word_count": "HOST PORT",
    "stateful_network_word_count": "HOST PORT",
    "windowed_top_words": "HOST PORT",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_says_how_it_is_used(name: str) -> None:
    with Program([f"examples/{name}.py"]) as program:
        status, complaint = program.end()
    assert status == 1
    assert complaint == f"usage: {name}.py {ARGUMENTS[name]}\n"


def test_every_example_is_run_here_and_says_how_it_is_run() -> None:
    for path in Path(REPOSITORY, "examples").glob("*.py"):
        assert f"python examples/{path.name}" in (path.read_text().split('"""')[1])
