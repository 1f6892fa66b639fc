"""A program that is killed again and again puts out what it would have put out undisturbed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from millstream.sinks.manifest import META
from tests.kill.kill_run import KillRun

KILLS = 10


@pytest.mark.timeout(600)
def test_a_killed_program_loses_nothing_and_doubles_nothing(tmp_path: Path, backend_name: str) -> None:
    outcome = KillRun(tmp_path, seed=7, backend=backend_name).run(KILLS)
    assert outcome.divergences == []
    assert outcome.kills == KILLS
    assert outcome.batches > KILLS


@pytest.mark.timeout(600)
def test_a_killed_program_writes_to_a_server_exactly_once(tmp_path: Path, postgres_schema_url: str) -> None:
    outcome = KillRun(tmp_path, seed=11, backend="threads", postgres_url=postgres_schema_url).run(2)
    assert outcome.divergences == []


def test_the_oracle_notices_what_is_lost_and_what_is_there_twice(tmp_path: Path) -> None:
    run = KillRun(tmp_path, seed=3, backend="threads")
    assert run.run(0).divergences == []
    with closing(sqlite3.connect(tmp_path / "steps.db")) as database, database:
        database.execute("INSERT INTO steps SELECT * FROM steps WHERE rowid = 1")
    manifests = [path for path in (tmp_path / "raw" / META).rglob("*") if path.is_file() and "epochs" not in path.parts]
    manifests[0].unlink()
    assert sorted({text.split(":")[0] for text in run.divergences()}) == ["raw", "steps"]
