"""Rows into SQLite and PostgreSQL: the sink against the plain loop that a user would write.

The plain loop hands the same rows to the driver's executemany in one transaction; a second one writes them in parts
of one row for each commit of a small batch. The sink does what the engine has it do: stage from records (dicts), then
commit, with its row of commits in the same transaction. Beside PostgreSQL's COPY into the table stands the way
through a staging table, which tasks could fill while a batch runs.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.servers.postgres_server import running_postgres

from benchmarks.figures import median, option, report
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.sql.sql_sink import SqlSink

TABLES = ("rows_plain", "rows_added", "rows_replaced", "rows_staged")
TYPES = "(id BIGINT PRIMARY KEY, word TEXT, share DOUBLE PRECISION)"


class Target:
    """One database with empty tables of one form."""

    def __init__(self, name: str, url: str, mark: str) -> None:
        self.name, self.url = name, url
        self.insert = f"INSERT INTO rows_plain (id, word, share) VALUES ({mark}, {mark}, {mark})"
        self.engine = sa.create_engine(url)
        with self.engine.begin() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"CREATE TABLE {table} {TYPES}")

    def plain(self, rows: list[tuple[Any, ...]]) -> None:
        """Write rows in one transaction, as the driver's documentation says."""
        with self.engine.connect() as connection:
            connection.connection.cursor().executemany(self.insert, rows)
            connection.connection.commit()

    def staged(self, rows: list[tuple[Any, ...]]) -> None:
        """Write rows into a staging table, and from there in one statement."""
        with self.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            cursor = raw.cursor()
            cursor.execute(f"CREATE UNLOGGED TABLE staging {TYPES}")
            with cursor.copy("COPY staging FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            raw.commit()
            cursor.execute("INSERT INTO rows_staged SELECT * FROM staging")
            cursor.execute("DROP TABLE staging")
            raw.commit()


class Sink:
    """A sink that is open, and the batches that go to it."""

    def __init__(self, target: Target, table: str, **options: Any) -> None:
        self.sink = SqlSink(target.url, table, **options)
        self.sink.open(SinkLineage("lineage", table))
        self.time_ms = 0

    def write(self, records: list[Any]) -> None:
        """Stage and commit one batch."""
        self.time_ms += 1_000
        batch = Batch(self.time_ms)
        self.sink.commit(batch, [self.sink.stage(batch, 0, Partition(records))])


def batches(count: int, rows: int) -> list[list[tuple[Any, ...]]]:
    """Make the rows of batches; no id comes twice."""
    return [
        [(number, f"word-{number % 1000}", number * 0.5) for number in range(batch * rows, (batch + 1) * rows)]
        for batch in range(count)
    ]


def dicts(data: list[list[tuple[Any, ...]]]) -> list[list[Any]]:
    """Make the records of batches from their rows."""
    return [[{"id": number, "word": word, "share": share} for number, word, share in rows] for rows in data]


def rows_per_s(write: Callable[[list[Any]], None], data: list[list[Any]]) -> float:
    """Write batches of many rows and give the rate of the middle one."""
    rates = []
    for rows in data:
        begun = time.perf_counter()
        write(rows)
        rates.append(len(rows) / (time.perf_counter() - begun))
    return median(rates)


def measure(target: Target, rows: int, repeats: int) -> dict[str, object]:
    """Measure all ways into one database."""
    found: dict[str, object] = {}
    data = batches(repeats, rows)
    plain = rows_per_s(target.plain, data)
    records = dicts(data)
    added = rows_per_s(Sink(target, "rows_added").write, records)
    upsert = Sink(target, "rows_replaced", mode="upsert")
    rows_per_s(upsert.write, records)
    replaced = rows_per_s(upsert.write, records)
    found[f"{target.name}: plain executemany, k rows/s"] = plain / 1e3
    found[f"{target.name}: sink, append, k rows/s"] = added / 1e3
    found[f"{target.name}: sink, append, against plain"] = added / plain
    found[f"{target.name}: sink, upsert of rows that are there, k rows/s"] = replaced / 1e3
    if "postgres" in target.url:
        found[f"{target.name}: a staging table, without the sink, k rows/s"] = rows_per_s(target.staged, data) / 1e3
    with target.engine.begin() as connection:
        for table in TABLES:
            connection.exec_driver_sql(f"DELETE FROM {table}")
    small = batches(200, 10)
    ways = {"plain": target.plain, "append": Sink(target, "rows_added").write, "upsert": upsert.write}
    for name, write in ways.items():
        given = small if name == "plain" else dicts(small)
        found[f"{target.name}: batch of 10 rows, {name}, ms"] = 1e3 * 10 / rows_per_s(write, given)
    return found


def main() -> None:
    """Run and report; without automatic collection, as a stream runs."""
    gc.disable()
    rows, repeats = int(option("rows", 100_000)), int(option("repeats", 5))
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        found = measure(Target("SQLite", f"sqlite:///{Path(folder)}/rows.db", "?"), rows, repeats)
        found |= measure(Target("PostgreSQL", server.url(), "%s"), rows, repeats)
    report("sql_sink", found)


if __name__ == "__main__":
    main()
