"""The SQL sink against real databases: what they refuse, and what happens when they or the way to them break."""

from __future__ import annotations

import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.broken_line import BrokenLine
from tests.servers.postgres_server import PostgresServer

import millstream as ms
from millstream.errors import (
    ConfigurationError,
    DataError,
    FencedError,
    LifecycleError,
    MillstreamError,
    SinkUnavailableError,
)
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.sql.sql_sink import SqlMode, SqlSink
from millstream.testing import run_batches

LINEAGE = SinkLineage("lineage-1", "words", epoch=1)


class Table:
    """A table `words(word, count)` in one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url)
        self.do("CREATE TABLE words (word VARCHAR(5) NOT NULL, count INTEGER CHECK (count >= 0), UNIQUE (word))")

    def do(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def rows(self, what: str = "word, count", table: str = "words") -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {what} FROM {table} ORDER BY 1")]

    def sink(self, lineage: SinkLineage = LINEAGE, **options: Any) -> SqlSink:
        sink = SqlSink(options.pop("url", self.url), "words", **{"columns": ["word", "count"], **options})
        sink.open(lineage)
        return sink


def write(sink: SqlSink, time_ms: int, *parts: Sequence[Any]) -> None:
    batch = Batch(time_ms)
    sink.commit(batch, [sink.stage(batch, index, Partition(list(part))) for index, part in enumerate(parts)])


@pytest.fixture
def sqlite_table(tmp_path: Path) -> Iterator[Table]:
    table = Table(f"sqlite:///{tmp_path}/words.db")
    yield table
    table.engine.dispose()


@pytest.fixture
def postgres_table(postgres_url: str) -> Iterator[Table]:
    table = Table(postgres_url)
    yield table
    table.engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest) -> Table:
    made: Table = request.getfixturevalue(f"{request.param}_table")
    return made


def test_a_program_writes_rows_once(table: Table, backend_name: str) -> None:
    def program(ssc: ms.StreamingContext, words: ms.DStream[str]) -> ms.DStream[Any]:
        counts = words.map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b)
        counts.save_to_sql(table.url, "words", columns=["word", "count"], name="words")
        return counts

    run_batches(program, [["to", "be", "to"], [], ["or"]], backend=backend_name)
    assert table.rows() == [("be", 1), ("or", 1), ("to", 2)]


def test_the_last_record_of_a_key_wins(table: Table) -> None:
    sink = table.sink(mode="upsert", key="word")
    write(sink, 1_000, [("a", 1), ("b", 2)], [("a", 3)])
    write(sink, 2_000, [("b", 5), ("c", 6), ("b", 7)])
    assert table.rows() == [("a", 3), ("b", 7), ("c", 6)]


def test_records_with_different_fields_are_replaced_one_after_another(table: Table) -> None:
    sink = table.sink(mode="upsert", key="word", columns=None)
    write(sink, 1_000, [{"word": "a", "count": 1}, {"word": "a"}, {"word": "b"}])
    write(sink, 2_000, [{"word": "b", "count": 2}, {"word": "b", "count": 3}])
    assert table.rows() == [("a", 1), ("b", 3)]


def test_values_arrive_as_they_are(postgres_table: Table) -> None:
    postgres_table.do("CREATE TABLE all_kinds (id SERIAL, t TEXT, j JSONB, a INT[], z TIMESTAMPTZ, n NUMERIC)")
    sink = SqlSink(postgres_table.url, "all_kinds")
    sink.open(LINEAGE)
    write(sink, 1_000, [{"t": "\\N\t\n\\", "j": {"k": [None, "ß"]}, "a": [1, 2], "n": 10**30}, {"t": None}])
    assert postgres_table.rows("id, t, j, a, z, n", "all_kinds") == [
        (1, "\\N\t\n\\", {"k": [None, "ß"]}, [1, 2], None, 10**30),
        (2, None, None, None, None, None),
    ]


@pytest.mark.parametrize("rows", [3, 1_000])
def test_names_that_must_be_quoted(table: Table, rows: int) -> None:
    create = 'CREATE TABLE "Order" ("select %s" TEXT PRIMARY KEY, "a ""b""" INTEGER, "Ä%" INTEGER)'
    table.do(create if "sqlite" in table.url else create.replace("%", "%%"))
    modes: tuple[SqlMode, ...] = ("append", "upsert")
    for mode in modes:
        sink = SqlSink(table.url, "Order", mode=mode)
        sink.open(SinkLineage("lineage-1", mode))
        write(sink, 1_000, [{"select %s": f"{number:04d}", 'a "b"': number, "Ä%": None} for number in range(rows)])
        table.do('DELETE FROM "Order"') if mode == "append" else None
    assert len(table.rows("*", '"Order"')) == rows


def test_a_table_of_another_schema(postgres_table: Table) -> None:
    postgres_table.do("CREATE SCHEMA other", "CREATE TABLE other.words (word TEXT PRIMARY KEY, count INTEGER)")
    modes: tuple[SqlMode, ...] = ("append", "upsert")
    for number, mode in enumerate(modes):
        sink = SqlSink(postgres_table.url, "words", schema="other", mode=mode)
        sink.open(SinkLineage("lineage-1", mode))
        write(sink, 1_000, [{"word": f"w{index}", "count": number} for index in range(number * 1_000 + 1)])
    assert postgres_table.rows(table="other.words")[0] == ("w0", 1)
    assert postgres_table.rows() == []
    assert postgres_table.rows("last_ms", "other.millstream_commits") == [(1_000,), (1_000,)]


def test_many_rows_are_replaced_as_few_are(table: Table) -> None:
    few, many = (table.sink(SinkLineage("lineage-1", name), mode="upsert", key="word") for name in "ab")
    write(many, 1_000, [(f"w{number % 400}", number) for number in range(1_000)])
    expected = sorted((f"w{number % 400}", number) for number in range(600, 1_000))
    assert table.rows() == expected
    write(many, 2_000, [(f"w{number % 400}", number + 1) for number in range(600, 1_000)])
    for number in range(600, 1_000, 100):
        part = [(f"w{each % 400}", each + 2) for each in range(number, number + 100)]
        write(few, number, part)
    assert table.rows() == sorted((word, number + 2) for word, number in expected)


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_the_record_that_a_constraint_refuses_is_named(table: Table, mode: Any) -> None:
    sink = table.sink(mode=mode, key="word" if mode == "upsert" else None)
    write(sink, 1_000, [("a", 1)])
    records = [(f"w{number}", 1) for number in range(100)]
    records[63] = ("bad", -1)
    with pytest.raises(DataError, match=r"(?i)refuses a record: .*check") as caught:
        write(sink, 2_000, records)
    text = str(caught.value)
    assert "output words, table words in" in text
    assert "batch 2000, record {'word': 'bad', 'count': -1}" in text
    assert table.rows() == [("a", 1)]
    write(sink, 2_000, [("b", 1)])
    assert table.rows() == [("a", 1), ("b", 1)]


def test_the_second_record_of_a_unique_key_is_named(table: Table) -> None:
    sink = table.sink()
    with pytest.raises(DataError, match=r"(?i)unique(.|\n)*'word': 'b', 'count': 3"):
        write(sink, 1_000, [("a", 1), ("b", 2)], [("b", 3), ("c", 4)])
    assert table.rows() == []


def test_looking_for_the_refused_record_leaves_nothing(table: Table) -> None:
    sink = table.sink(columns=None)
    with pytest.raises(DataError, match="'word': 'b', 'count': -1"):
        write(sink, 1_000, [{"word": "a"}, {"word": "c"}, {"word": "b", "count": -1}])
    assert table.rows() == []


def test_a_value_that_is_too_long(postgres_table: Table) -> None:
    with pytest.raises(DataError, match=r"too long for type character varying\(5\)(.|\n)*'word': 'longer'"):
        write(postgres_table.sink(), 1_000, [("a", 1), ("longer", 2)])


def test_a_number_that_is_too_large(table: Table) -> None:
    with pytest.raises(DataError, match="'word': 'b'"):
        write(table.sink(), 1_000, [("a", 1), ("b", 1 << 70)])


def test_text_that_no_database_takes(postgres_table: Table) -> None:
    for text in ("a\0", "\udc80"):
        with pytest.raises(DataError, match="refuses a record"):
            write(postgres_table.sink(), 1_000, [("a", 1), (text, 2)])


def test_a_constraint_that_is_checked_at_the_end_names_the_record_too(postgres_table: Table) -> None:
    postgres_table.do("CREATE TABLE known (word TEXT PRIMARY KEY)", "INSERT INTO known VALUES ('a')")
    postgres_table.do(
        "ALTER TABLE words ADD FOREIGN KEY (word) REFERENCES known DEFERRABLE INITIALLY DEFERRED",
    )
    with pytest.raises(DataError, match=r"foreign key(.|\n)*'word': 'b'"):
        write(postgres_table.sink(), 1_000, [("a", 1), ("b", 2)])


def test_what_is_missing_is_said_at_the_start(table: Table) -> None:
    with pytest.raises(ConfigurationError, match=r"no table 'wrods'(.|\n)*has .*words"):
        SqlSink(table.url, "wrods").open(LINEAGE)
    with pytest.raises(ConfigurationError, match=r"no column 'size'(.|\n)*It has word, count"):
        table.sink(columns=["word", "size"])
    with pytest.raises(ConfigurationError, match="not unique"):
        table.sink(mode="upsert", key=["count"])
    with pytest.raises(ConfigurationError, match="no primary key"):
        table.sink(mode="upsert")
    table.do("CREATE UNIQUE INDEX pairs ON words (count, word)")
    table.sink(mode="upsert", key=["word", "count"])


@pytest.mark.parametrize(
    "options",
    [{"mode": "replace"}, {"key": "word"}, {"columns": "word"}, {"columns": []}, {"mode": "upsert", "key": ["a", "a"]}],
)
def test_arguments_that_cannot_work(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        SqlSink(f"sqlite:///{tmp_path}/x.db", "words", **options)


def test_a_table_that_went_away(table: Table) -> None:
    sink = table.sink()
    table.do("DROP TABLE words")
    with pytest.raises(ConfigurationError, match=r"(?i)no such table|does not exist"):
        write(sink, 1_000, [("a", 1)])


def test_a_row_of_commits_that_went_away(table: Table) -> None:
    sink = table.sink()
    table.do("DELETE FROM millstream_commits")
    with pytest.raises(DataError, match="row of commits is gone"):
        write(sink, 1_000, [("a", 1)])


def test_a_user_without_rights_is_told_which(postgres_table: Table, postgres_server: PostgresServer) -> None:
    role = f"reader_{os.getpid()}"
    postgres_table.do(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT, INSERT ON words TO {role}")
    url = postgres_table.url.replace("postgres@", f"{role}@")
    with pytest.raises(ConfigurationError, match="permission denied for schema public"):
        postgres_table.sink(url=url)
    postgres_table.sink(SinkLineage("other", "words"))
    postgres_table.do(f"GRANT SELECT, INSERT, UPDATE ON millstream_commits TO {role}")
    write(postgres_table.sink(url=url), 1_000, [("a", 1)])
    assert postgres_table.rows() == [("a", 1)]


def test_the_sink_must_be_open(sqlite_table: Table) -> None:
    sink = SqlSink(sqlite_table.url, "words")
    with pytest.raises(LifecycleError, match="is not open"):
        sink.stage(Batch(1_000), 0, Partition([{"word": "a"}]))
    with pytest.raises(LifecycleError, match="is not open"):
        sink.commit(Batch(1_000), [])


def test_an_unreachable_database(postgres_server: PostgresServer) -> None:
    closed = BrokenLine(postgres_server.port)
    closed.close()
    sink = SqlSink(f"postgresql://ann:s3cret@127.0.0.1:{closed.port}/x", "words")
    with pytest.raises(SinkUnavailableError, match="could not be opened") as caught:
        sink.open(LINEAGE)
    assert f"words in postgresql+psycopg://ann:***@127.0.0.1:{closed.port}/x" in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_sqlite_file_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailableError, match="unable to open database file"):
        SqlSink(f"sqlite:///{tmp_path}/none/x.db", "words").open(LINEAGE)


@pytest.fixture
def line(postgres_server: PostgresServer) -> Iterator[BrokenLine]:
    line = BrokenLine(postgres_server.port)
    yield line
    line.close()


def through(line: BrokenLine, table: Table) -> str:
    return str(sa.make_url(table.url).set(port=line.port))


def test_a_connection_lost_after_the_commit_is_no_failure(postgres_table: Table, line: BrokenLine) -> None:
    sink = postgres_table.sink(url=through(line, postgres_table))
    line.break_at(b"COMMIT", "after")
    write(sink, 1_000, [("a", 1)])
    assert line.broken.is_set()
    assert postgres_table.rows() == [("a", 1)]
    write(sink, 2_000, [("b", 1)])
    assert postgres_table.rows() == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("said", [b"COMMIT", b"COPY", b"UPDATE millstream_commits"])
def test_a_connection_lost_before_the_commit_is_tried_again(
    postgres_table: Table, line: BrokenLine, said: bytes
) -> None:
    sink = postgres_table.sink(url=through(line, postgres_table))
    batch = Batch(1_000)
    receipts = [sink.stage(batch, 0, Partition([("a", 1)]))]
    line.break_at(said, "before")
    with pytest.raises(SinkUnavailableError, match="could not be committed"):
        sink.commit(batch, receipts)
    assert line.broken.is_set()
    assert postgres_table.rows() == []
    sink.commit(batch, receipts)
    sink.commit(batch, receipts)
    assert postgres_table.rows() == [("a", 1)]


def test_a_server_that_was_killed_and_is_back(postgres_server: PostgresServer, postgres_table: Table) -> None:
    sink = postgres_table.sink()
    write(sink, 1_000, [("a", 1)])
    postgres_server.kill()
    batch = Batch(2_000)
    receipts = [sink.stage(batch, 0, Partition([("b", 1)]))]
    with pytest.raises(SinkUnavailableError):
        sink.commit(batch, receipts)
    postgres_server.start()
    postgres_table.engine.dispose()
    sink.commit(batch, receipts)
    assert postgres_table.rows() == [("a", 1), ("b", 1)]
    assert SqlSink(postgres_table.url, "words").open(LINEAGE) == 2_000


def holding(table: Table, statement: str, then: Callable[[], None]) -> None:
    """Do something while another transaction holds what a statement locks."""
    with table.engine.connect() as connection:
        connection.exec_driver_sql(statement)
        then()
        connection.rollback()


def test_a_row_that_is_locked_for_long_is_tried_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.sinks.sql.database.LOCK_TIMEOUT", "50ms")
    sink = table.sink(connect_args={"timeout": 0.05} if "sqlite" in table.url else None)

    def refused() -> None:
        with pytest.raises(SinkUnavailableError, match="lock"):
            write(sink, 1_000, [("a", 1)])

    holding(table, "UPDATE millstream_commits SET epoch = epoch", refused)
    write(sink, 1_000, [("a", 1)])
    assert table.rows() == [("a", 1)]


def test_a_deadlock_is_tried_again(postgres_table: Table) -> None:
    postgres_table.do("INSERT INTO words VALUES ('a', 1), ('b', 1)")
    sink = postgres_table.sink(mode="upsert", key="word")
    errors: list[Exception] = []

    def commit() -> None:
        try:
            write(sink, 1_000, [("a", 2), ("b", 2)])
        except Exception as error:
            errors.append(error)

    with postgres_table.engine.connect() as other:
        # The other one is the older by far, so that the sink is the one that finds the deadlock.
        other.exec_driver_sql("SET deadlock_timeout = '60s'")
        other.exec_driver_sql("UPDATE words SET count = 9 WHERE word = 'b'")
        committer = threading.Thread(target=commit)
        committer.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while other.exec_driver_sql(waiting).scalar_one() == 0:
            other.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        other.exec_driver_sql("UPDATE words SET count = 9 WHERE word = 'a'")
        committer.join()
        other.commit()
    assert [type(error) for error in errors] == [SinkUnavailableError]
    assert "deadlock" in str(errors[0])
    write(sink, 1_000, [("a", 2), ("b", 2)])
    assert postgres_table.rows() == [("a", 2), ("b", 2)]


def test_a_serialization_failure_is_tried_again(postgres_table: Table) -> None:
    postgres_table.do("INSERT INTO words VALUES ('a', 1)")
    options = "options=-c%20default_transaction_isolation=serializable"
    sink = postgres_table.sink(url=f"{postgres_table.url}?{options}", mode="upsert", key="word")
    with postgres_table.engine.connect() as other:
        other.exec_driver_sql("UPDATE words SET count = 5 WHERE word = 'a'")
        errors: list[Exception] = []

        def commit() -> None:
            try:
                write(sink, 1_000, [("a", 2)])
            except Exception as error:
                errors.append(error)

        committer = threading.Thread(target=commit)
        committer.start()
        while other.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one() == 0:
            pass
        other.commit()
        committer.join()
    assert [type(error) for error in errors] == [SinkUnavailableError]
    assert "serialize" in str(errors[0])
    write(sink, 1_000, [("a", 2)])
    assert postgres_table.rows() == [("a", 2)]


def test_a_driver_that_is_paused_in_its_transaction_is_put_out_by_the_server(postgres_table: Table) -> None:
    old = postgres_table.sink()
    assert old._row is not None
    with old._database.connected() as paused:
        assert paused.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"
        assert old._row.advance(paused, 1_000)
        # Why this one alone: on a machine with much to do the others may be idle for as long.
        paused.exec_driver_sql("SET idle_in_transaction_session_timeout = '50ms'")
        new = postgres_table.sink(SinkLineage("lineage-1", "words", epoch=2))
        with pytest.raises(sa.exc.InternalError, match="idle-in-transaction"):
            paused.exec_driver_sql("INSERT INTO words VALUES ('late', 1)")
    write(new, 1_000, [("a", 1)])
    with pytest.raises(FencedError):
        write(old, 1_000, [("late", 1)])
    assert postgres_table.rows() == [("a", 1)]


def test_passwords_are_in_no_error(postgres_table: Table, postgres_server: PostgresServer) -> None:
    role = f"secretive_{os.getpid()}"
    postgres_table.do(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'", f"GRANT INSERT, SELECT ON words TO {role}")
    url = postgres_table.url.replace("postgres@", f"{role}:s3cret@")
    postgres_table.sink(SinkLineage("other", "words"))
    postgres_table.do(f"GRANT SELECT, INSERT, UPDATE ON millstream_commits TO {role}")
    sink = postgres_table.sink(url=f"{url}?sslpassword=h1dden")
    told: list[MillstreamError] = []
    for records in ([("s3cret", 1)], [("a", -1)], [("a", "s3cret")]):
        with pytest.raises(MillstreamError) as caught:
            write(sink, 1_000, records)
        told.append(caught.value)
    for error in told:
        shown = "".join(traceback.format_exception(error))
        assert f"{role}:s3cret" not in shown
        assert "h1dden" not in shown
    assert "s3cret" not in repr(sink) + sink.name


def test_an_open_sink_travels(table: Table) -> None:
    sink = table.sink()
    copy = pickle.loads(pickle.dumps(sink))
    receipts = [copy.stage(Batch(1_000), 0, Partition([("a", 1)]))]
    sink.commit(Batch(1_000), pickle.loads(pickle.dumps(receipts)))
    assert table.rows() == [("a", 1)]
