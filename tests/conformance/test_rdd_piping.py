"""Records through commands of the system, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, UserCodeError
from millstream.rdd.piping import STDERR_TAIL_BYTES
from tests.conformance.rdd_strategies import given, partition_counts, slices

lines = st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=6), max_size=12)


@given(lines, partition_counts)
def test_lines_go_in_and_come_out(context: Context, data: list[str], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.pipe("cat").glom().collect() == slices(data, parts)
    assert rdd.pipe(["wc", "-l"]).map(int).collect() == list(map(len, slices(data, parts)))


def test_records_of_any_kind(context: Context) -> None:
    rdd = context.parallelize([1, b"by\xfftes", "two\nlines", None, ("a", 1)], 2)
    assert rdd.pipe("cat").collect() == ["1", "by\ufffdtes", "two", "lines", "None", "('a', 1)"]


def test_empty_partitions_run_the_command_too(context: Context) -> None:
    assert context.parallelize([], 2).pipe("echo hello").collect() == ["hello", "hello"]
    assert context.parallelize([], 1).pipe(["printf", "no line end"]).collect() == ["no line end"]
    assert context.parallelize([], 1).pipe(["printf", r"\n\n"]).collect() == ["", ""]


def test_the_environment_is_added_to(context: Context) -> None:
    told = context.parallelize([1], 1).pipe(["sh", "-c", 'echo "$GREETING ${PATH:+path}"'], env={"GREETING": "hi"})
    assert told.collect() == ["hi path"]


def test_more_than_pipes_hold_goes_through(context: Context) -> None:
    data = ["x" * 1000] * 2000
    assert context.parallelize(data, 2).pipe("cat").collect() == data


def test_a_command_may_stop_reading(context: Context) -> None:
    assert context.parallelize(["x" * 1000] * 2000, 1).pipe("head -n 1").collect() == ["x" * 1000]


def test_a_command_that_fails(context: Context) -> None:
    rdd = context.parallelize(["a"], 1)
    with pytest.raises(UserCodeError, match="exit status 3") as raised:
        rdd.pipe(["sh", "-c", "echo it broke >&2; exit 3"]).collect()
    assert raised.value.operator == "pipe"
    assert "test_rdd_piping.py" in str(raised.value.site)
    assert "it broke" in str(raised.value)
    with pytest.raises(UserCodeError, match="SIGKILL"):
        rdd.pipe(["sh", "-c", "kill -9 $$"]).collect()
    with pytest.raises(UserCodeError, match="cannot be started") as raised:
        rdd.pipe("no-such-command-here").map(str).collect()
    assert raised.value.operator == "pipe"
    with pytest.raises(UserCodeError) as raised:
        rdd.pipe(["sh", "-c", "yes first | head -n 5000 >&2; echo last >&2; exit 1"]).collect()
    assert "last" in str(raised.value)
    assert len(str(raised.value)) < STDERR_TAIL_BYTES + 500


def test_statuses_that_are_no_failure(context: Context) -> None:
    rdd = context.parallelize(["a", "b"], 2)
    assert rdd.pipe("grep a", ok_statuses=(0, 1)).collect() == ["a"]
    with pytest.raises(UserCodeError, match="exit status 1"):
        rdd.pipe("grep a").collect()


def test_a_record_without_text_is_the_users_error(context: Context) -> None:
    with pytest.raises(UserCodeError, match="pipe") as raised:
        context.parallelize(["\ud800"], 1).pipe("cat").collect()
    assert raised.value.operator == "pipe"


@pytest.mark.parametrize("bad", [None, 3, b"cat", ["cat", 3]])
def test_what_is_no_command_is_refused(context: Context, bad: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="pipe"):
        context.range(1).pipe(bad)


@pytest.mark.parametrize("bad", ["", [], "echo 'open"])
def test_commands_that_cannot_work_are_refused(context: Context, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="pipe"):
        context.range(1).pipe(bad)


def test_options_of_the_wrong_type_are_refused(context: Context) -> None:
    for bad in (1, "01", [None]):
        with pytest.raises(ArgumentTypeError, match="exit statuses"):
            context.range(1).pipe("cat", ok_statuses=bad)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="mapping"):
        context.range(1).pipe("cat", env=["A=1"])  # type: ignore[arg-type]
