"""One run of the program: killed again and again, ended in order, and checked."""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.kill.crash_points import PLACES
from tests.kill.oracle import divergences, journalled
from tests.kill.program import Settings
from tests.kill.sender import Sender

REPOSITORY = Path(__file__).parents[2]

WAIT_S = 60.0
"""How long a program may say nothing."""

LINES_MAX = 700
"""After so many lines a program is killed that did not come to its crash point."""

LAST_LINES_MAX = 20_000
"""After so many lines the last life, which ends in order, should long have ended."""

LAST_BATCHES = 12
"""So many batches run in the end, in which all files are taken."""


@dataclass
class Outcome:
    """What a run was.

    Attributes:
        seed: brings it back, as far as the operating system lets it.
        divergences: where outputs are not what they have to be.
    """

    seed: int
    backend: str
    kills: int = 0
    worker_kills: int = 0
    starts: int = 0
    records: int = 0
    repeated: int = 0
    batches: int = 0
    points: list[str] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)


@dataclass
class Fate:
    """How a life ends.

    Attributes:
        crash: the point at which it kills itself, or None.
        count: at its how-manieth passage.
        lines: killed from outside after so many lines at the latest; None: not killed.
        worker_lines: a worker is killed after so many lines.
        stop_lines: asked to stop after so many lines.
        receiver_process: the receiver runs in a process of its own.
    """

    crash: str | None = None
    count: int = 1
    lines: int | None = LINES_MAX
    worker_lines: int | None = None
    stop_lines: int | None = None
    receiver_process: bool = False


class KillRun:
    """Runs the program, life after life.

    Args:
        folder: an empty directory.
        seed: for fates and records.
        backend: where tasks run.
        postgres_url: of an empty schema, or None.
    """

    def __init__(self, folder: Path, seed: int, backend: str, postgres_url: str | None = None) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._backend = backend
        self._postgres_url = postgres_url
        self._sender = Sender(self._chance)
        self._files: list[Path] = []
        self._selector = selectors.DefaultSelector()
        self.outcome = Outcome(seed, backend)

    def run(self, kills: int) -> Outcome:
        """Run it with so many kills of the driver, end it, and check it."""
        self._prepare()
        try:
            while self.outcome.kills < kills:
                self._live(self._fate())
            self._live(Fate(lines=None))
        finally:
            self._sender.close()
            self._selector.close()
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
        fate = Fate()
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

    def _live(self, fate: Fate) -> None:
        """Start the program and drive it to its end."""
        self.outcome.starts += 1
        settings = Settings(
            str(self._folder),
            self._sender.port,
            self._backend,
            fate.receiver_process,
            self._postgres_url,
            fate.crash,
            fate.count,
        )
        complaint = self._folder / "complaint.txt"
        with complaint.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.kill.program", settings.encoded()],
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=REPOSITORY,
            )
        try:
            last = self._drive(process, fate)
        finally:
            process.kill()
            status = process.wait()
            assert process.stdout is not None
            process.stdout.close()
        killed = status == -signal.SIGKILL
        if killed != (fate.lines is not None) and status != 0:
            raise AssertionError(
                f"The program ended with {status} after {last!r} ({fate}); seed {self.outcome.seed}.\n"
                + complaint.read_text()[-6_000:]
            )
        if killed:
            self.outcome.kills += 1
            self.outcome.points.append(last)

    def _drive(self, process: subprocess.Popen[bytes], fate: Fate) -> str:
        """Serve the program until its output ends; gives the last point that it passed."""
        assert process.stdout is not None
        selector, sender = self._selector, self._sender
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(sender.listener, selectors.EVENT_READ)
        count, batches, rest, last = 0, 0, b"", ""
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
                raise AssertionError(
                    f"The program said nothing for {WAIT_S:g} s after {last!r}; {fate}; seed {self.outcome.seed}.\n"
                    + (self._folder / "complaint.txt").read_text()[-6_000:]
                )
            for key, _ in ready:
                if key.fileobj is sender.listener:
                    sender.accept()
                elif key.fileobj is watched and sender.connection is watched:
                    sender.hear()
                elif key.fileobj is process.stdout:
                    data = os.read(process.stdout.fileno(), 65_536)
                    ended = not data
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        count, last = count + 1, line.decode()
                        if last == "after finish":
                            batches += 1
                            self._feed(batches, fate)
                        self._strike(process, fate, count, batches)
            if fate.lines is None and count > LAST_LINES_MAX:
                raise AssertionError(
                    f"The program does not end: {batches} batches, asked to stop after {fate.stop_lines} of {count} "
                    f"lines; the sender is done: {sender.is_done}; the last line is {last!r}; "
                    f"seed {self.outcome.seed}.\n" + (self._folder / "complaint.txt").read_text()[-6_000:]
                )
        selector.unregister(process.stdout)
        selector.unregister(sender.listener)
        if watched is not None:
            selector.unregister(watched)
        sender.hang_up()
        return last

    def _feed(self, batches: int, fate: Fate) -> None:
        """Give the program more to do."""
        sender, chance = self._sender, self._chance
        if fate.lines is None and batches > LAST_BATCHES:
            return
        sender.credit = max(sender.credit, chance.randint(0, 6))
        sender.send()
        if chance.random() < 0.3 and fate.lines is not None:
            number = len(self._files)
            unfinished = self._folder / "unfinished" / f"{number}.jsonl"
            rows = sender.rows(chance.randint(1, 10))
            unfinished.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            self._files.append(unfinished.rename(self._folder / "in" / f"{number}.jsonl"))

    def _strike(self, process: subprocess.Popen[bytes], fate: Fate, count: int, batches: int) -> None:
        if fate.lines is None:
            if batches >= LAST_BATCHES + len(self._files) // 50 and self._sender.is_done and fate.stop_lines is None:
                fate.stop_lines = count
                process.send_signal(signal.SIGTERM)
            return
        if count == fate.stop_lines:
            process.send_signal(signal.SIGTERM)
        if count == fate.worker_lines:
            self._kill_a_worker(process)
        if count == fate.lines:
            process.kill()

    def _kill_a_worker(self, process: subprocess.Popen[bytes]) -> None:
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        workers = found.stdout.split()
        if workers:
            self.outcome.worker_kills += 1
            subprocess.run(["kill", "-9", self._chance.choice(workers)], check=False, stderr=subprocess.DEVNULL)
