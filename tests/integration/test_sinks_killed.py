"""Programs that are killed while they commit: what readers see then, and after the next program went on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.sink_writer import STEP_MS, records
from tests.servers.s3_server import S3Server

from millstream.sinks.read_committed import read_committed

KILLS = 4


def numbers(newest_ms: int) -> list[int]:
    """Give what a reader must see when this batch is the newest."""
    batches = range(STEP_MS, newest_ms + 1, STEP_MS)
    return [record["number"] for time_ms in batches for part in records(time_ms) for record in part]


def newest_ms(seen: list[int]) -> int:
    """Give the newest batch that a reader sees, after a check that it sees whole batches, each once."""
    newest = max(seen, default=0) // 100 * STEP_MS
    assert seen == numbers(newest)
    return newest


class Target:
    """Where the program writes to, and how it is read."""

    def __init__(self, kind: str, place: str, **options: Any) -> None:
        self.kind, self.place, self.options = kind, place, options

    def numbers(self) -> list[int]:
        if self.kind == "files":
            return [record["number"] for record in read_committed(self.place, storage_options=self.options)]
        engine = sa.create_engine(self.place)
        with engine.connect() as connection:
            seen = list(connection.exec_driver_sql("SELECT number FROM records ORDER BY number").scalars())
        engine.dispose()
        return seen

    def start(self, epoch: int) -> subprocess.Popen[str]:
        module = "tests.integration.sink_writer"
        arguments = [self.kind, self.place, json.dumps(self.options), str(epoch), str(epoch % 2)]
        return subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["files", "s3", "sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "files":
        return Target("files", str(tmp_path / "out"))
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        return Target("files", f"s3://{server.new_bucket()}/out", **server.options)
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/records.db"
    else:
        url = request.getfixturevalue("postgres_schema_url")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE records (number INTEGER)")
    engine.dispose()
    return Target("sql", url)


def test_every_batch_is_there_once_however_often_the_program_is_killed(target: Target) -> None:
    chance = random.Random(7)
    staged_ms = committed_ms = 0
    for epoch in range(1, KILLS + 1):
        program = target.start(epoch)
        assert program.stdout is not None
        said, when = program.stdout.readline().split()
        assert said == "opened"
        # What it was killed in may be committed or not; all before it is.
        assert int(when) in (committed_ms, staged_ms)
        committed_ms = staged_ms = int(when)
        for _ in range(chance.randrange(2, 12)):
            said, when = program.stdout.readline().split()
            if said == "staged":
                staged_ms = int(when)
            else:
                committed_ms = int(when)
        program.kill()
        for left in program.stdout:
            said, when = left.split()
            staged_ms = int(when) if said == "staged" else staged_ms
            committed_ms = int(when) if said == "committed" else committed_ms
        program.wait()
        assert newest_ms(target.numbers()) in (committed_ms, staged_ms)
    assert committed_ms >= KILLS * STEP_MS
