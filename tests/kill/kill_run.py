"""One run of the program: killed again and again, ended in order, and checked."""

from __future__ import annotations

import json
import selectors
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.kill.crash_points import PLACES
from tests.kill.killed_program import KilledProgram
from tests.kill.life import Fate, Life
from tests.kill.oracle import divergences, journalled
from tests.kill.outcome import Outcome
from tests.kill.program import Settings
from tests.kill.sender import Sender

WAIT_S = 60.0
"""How long a program may say nothing."""

LINES_MAX = 700
"""After so many lines a program is killed that did not come to its crash point."""

LAST_LINES_MAX = 20_000
"""After so many lines the last life, which ends in order, should long have ended."""

LAST_BATCHES = 12
"""So many batches run in the end, in which all files are taken."""


class KillRun(KilledProgram):
    """Runs the program, life after life.

    Args:
        folder: an empty directory.
        seed: for fates and records.
        backend: where tasks run.
        postgres_url: of an empty schema, or None.
    """

    MODULE = "tests.kill.program"

    def __init__(self, folder: Path, seed: int, backend: str, postgres_url: str | None = None) -> None:
        super().__init__(folder, seed, backend)
        self._postgres_url = postgres_url
        self._sender = Sender(self._chance)
        self._files: list[Path] = []

    def run(self, kills: int) -> Outcome:
        """Run it with so many kills of the driver, end it, and check it."""
        self._prepare()
        try:
            self._live_to_the_end(kills)
        finally:
            self._sender.close()
        self.outcome.divergences = self.divergences()
        self.outcome.batches = len(journalled(self._folder, lambda text: None))
        return self.outcome

    def divergences(self) -> list[str]:
        """Say where the outputs are not what they have to be."""
        self.outcome.records, self.outcome.repeated = self._sender.records, self._sender.repeated
        return divergences(self._folder, self._sender.sent, self._files, self._postgres_url)

    def _prepare(self) -> None:
        (self._folder / "in").mkdir()
        (self._folder / "unfinished").mkdir()
        for name, table in (
            ("steps", "steps (time_ms INTEGER, key TEXT, n INTEGER, total INTEGER)"),
            ("totals", "totals (key TEXT PRIMARY KEY, total INTEGER)"),
            ("ids", "ids (id TEXT PRIMARY KEY, time_ms INTEGER, count INTEGER)"),
        ):
            with closing(sqlite3.connect(self._folder / f"{name}.db")) as database, database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute(f"CREATE TABLE {table}")
        if self._postgres_url is not None:
            import sqlalchemy

            engine = sqlalchemy.create_engine(self._postgres_url)
            with engine.begin() as connection:
                connection.execute(
                    sqlalchemy.text(
                        "CREATE TABLE steps (id BIGSERIAL, time_ms BIGINT, key TEXT, n BIGINT, total BIGINT)"
                    )
                )
            engine.dispose()

    def _fate(self) -> Fate:
        chance = self._chance
        kind = chance.choices(["anywhere", "batch", "checkpoint", "recovery", "stop", "torn"], [6, 6, 3, 3, 2, 2])[0]
        fate = Fate(LINES_MAX)
        if kind == "anywhere":
            fate.lines = chance.randint(1, 400)
        elif kind == "torn":
            fate.crash, fate.count = f"torn {chance.choice(['journal', 'wal'])}", chance.randint(1, 20)
        else:
            place = chance.choice(PLACES[kind])
            if kind == "stop":
                fate.stop_lines = chance.randint(50, 200)
            fate.crash = f"{chance.choice(['before', 'after'])} {place}"
            fate.count = chance.randint(1, 8) if kind == "batch" else chance.randint(1, 2) if kind != "stop" else 1
        fate.receiver_process = chance.random() < 0.25
        if (self._backend == "processes" or fate.receiver_process) and chance.random() < 0.3:
            fate.worker_lines = chance.randint(30, 250)
        return fate

    def _settings(self, fate: Fate) -> Settings:
        return Settings(
            folder=str(self._folder),
            port=self._sender.port,
            backend=self._backend,
            receiver_process=fate.receiver_process,
            postgres_url=self._postgres_url,
            crash=fate.crash,
            count=fate.count,
        )

    def _drive(self, life: Life) -> None:
        selector, sender = self._selector, self._sender
        selector.register(life.output, selectors.EVENT_READ)
        selector.register(sender.listener, selectors.EVENT_READ)
        watched = None
        ended = False
        while not ended:
            if sender.connection is not watched:
                if watched is not None:
                    selector.unregister(watched)
                watched = sender.connection
                if watched is not None:
                    selector.register(watched, selectors.EVENT_READ)
            ready = selector.select(WAIT_S)
            if not ready:
                raise self._failure(f"The program said nothing for {WAIT_S:g} s", life)
            for key, _ in ready:
                if key.fileobj is sender.listener:
                    sender.accept()
                elif key.fileobj is watched and sender.connection is watched:
                    sender.hear()
                elif key.fileobj is life.output:
                    ended = not self._hear(life)
            if life.is_last and life.lines_count > LAST_LINES_MAX:
                raise self._failure(
                    f"The program does not end: {life.batches_count} batches, {life.lines_count} lines, "
                    f"the sender is done: {sender.is_done};",
                    life,
                )
        selector.unregister(life.output)
        selector.unregister(sender.listener)
        if watched is not None:
            selector.unregister(watched)
        sender.hang_up()

    def _feed(self, life: Life) -> None:
        sender, chance = self._sender, self._chance
        if life.is_last and life.batches_count > LAST_BATCHES:
            return
        sender.credit = max(sender.credit, chance.randint(0, 6))
        sender.send()
        if chance.random() < 0.3 and not life.is_last:
            number = len(self._files)
            unfinished = self._folder / "unfinished" / f"{number}.jsonl"
            rows = sender.rows(chance.randint(1, 10))
            unfinished.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            self._files.append(unfinished.rename(self._folder / "in" / f"{number}.jsonl"))

    def _has_done_all(self, life: Life) -> bool:
        return life.batches_count >= LAST_BATCHES + len(self._files) // 50 and self._sender.is_done
