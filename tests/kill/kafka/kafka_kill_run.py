"""One run of the word count over Kafka: killed again and again, ended in order, and checked."""

from __future__ import annotations

import itertools
import os
import random
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from tests.kill.kafka.oracle import divergences, journalled
from tests.kill.kafka.program import INTERVAL_S, WINDOW_S, Settings
from tests.kill.kill_run import REPOSITORY
from tests.servers.kafka.broker import KafkaCluster
from tests.servers.kafka.kafka_tool import KafkaTool

WAIT_S = 90.0
"""How long a program may say nothing; a broker that was killed is back after some seconds."""

LINES_MAX = 150
"""After so many lines a program is killed that did not come to its crash point."""

LAST_BATCHES = round(WINDOW_S / INTERVAL_S / 2)
"""So many batches run in the end behind the last record."""

PARTITIONS = 2
WORDS = 40

PLACES = {
    "recovery": (
        "take over",
        "journal DriverStarted",
        "open sink",
        "make control topic",
        "take the topic over",
        "commit transaction",
        "journal SinksOpened",
    ),
    "batch": (
        "journal BatchPlanned",
        "stage counts-topic",
        "journal BatchPrepared",
        "commit counts-topic",
        "commit transaction",
        "commit transaction",
        "note BatchDone",
        "finish",
        "journal CheckpointWritten",
    ),
    "stop": ("last checkpoint", "close"),
}
"""Where the program is killed, before or after each, by what it is busy with."""


@dataclass
class KafkaOutcome:
    """What a run was."""

    seed: int
    backend: str
    kills: int = 0
    worker_kills: int = 0
    broker_kills: int = 0
    starts: int = 0
    records: int = 0
    batches: int = 0
    points: list[str] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)


@dataclass
class Fate:
    """How a life ends.

    Attributes:
        crash: the point at which the program kills itself, or None.
        count: at its how-manieth passage.
        lines: killed from outside after so many lines at the latest; None: not killed.
        worker_lines: a worker is killed after so many lines.
        broker_lines: the broker is killed, and started again, after so many lines.
        stop_lines: asked to stop after so many lines.
    """

    crash: str | None = None
    count: int = 1
    lines: int | None = LINES_MAX
    worker_lines: int | None = None
    broker_lines: int | None = None
    stop_lines: int | None = None


class KafkaKillRun:
    """Runs the program, life after life.

    Args:
        folder: an empty directory.
        cluster: one broker that may be killed.
        seed: for fates and records.
        backend: where tasks run.
    """

    def __init__(self, folder: Path, cluster: KafkaCluster, seed: int, backend: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._backend = backend
        self._selector = selectors.DefaultSelector()
        tool = KafkaTool(cluster, f"kill-{seed}-{backend}")
        self._source, self._target = tool.topic(PARTITIONS), tool.topic(PARTITIONS)
        options: dict[str, Any] = {
            "bootstrap.servers": cluster.servers,
            "enable.idempotence": True,
            "linger.ms": 1,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        self._producer = Producer(options)
        self._numbers = itertools.count()
        self._sent: list[str] = []
        self.outcome = KafkaOutcome(seed, backend)

    def run(self, kills: int, broker_kills: int = 1) -> KafkaOutcome:
        """Run it with so many kills of the driver and, beside them, of the broker; end it, and check it."""
        lives_with_broker_kill = set(self._chance.sample(range(1, max(kills, broker_kills + 1)), broker_kills))
        while self.outcome.kills < kills:
            if self.outcome.kills in lives_with_broker_kill:
                lives_with_broker_kill.discard(self.outcome.kills)
                self._live(Fate(broker_lines=self._chance.randint(30, 60)))
            else:
                self._live(self._fate())
        self._live(Fate(lines=None))
        self._selector.close()
        assert not self._producer.flush(60.0)
        outcome = self.outcome
        outcome.divergences = divergences(self._folder, self._cluster.servers, self._source, self._target, self._sent)
        outcome.records = len(self._sent)
        outcome.batches = len(journalled(self._folder, lambda text: None))
        return outcome

    def _fate(self) -> Fate:
        chance = self._chance
        kind = chance.choices(["anywhere", "batch", "recovery", "stop"], [4, 8, 4, 1])[0]
        fate = Fate()
        if kind == "anywhere":
            fate.lines = chance.randint(1, LINES_MAX)
        else:
            if kind == "stop":
                fate.stop_lines = chance.randint(40, 100)
            fate.crash = f"{chance.choice(['before', 'after'])} {chance.choice(PLACES[kind])}"
            fate.count = chance.randint(1, 8) if kind == "batch" else 1
        if self._backend == "processes" and chance.random() < 0.7:
            fate.worker_lines = chance.randint(15, 50)
        return fate

    def _live(self, fate: Fate) -> None:
        """Start the program and drive it to its end."""
        self.outcome.starts += 1
        settings = Settings(
            str(self._folder),
            self._cluster.servers,
            self._source,
            self._target,
            self._backend,
            fate.crash,
            fate.count,
        )
        complaint = self._folder / "complaint.txt"
        with complaint.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.kill.kafka.program", settings.encoded()],
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
        """Feed the program until its output ends; gives the last point that it passed."""
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ)
        count, batches, rest, last = 0, 0, b"", ""
        heard = time.monotonic()
        self._feed()
        while True:
            if not self._selector.select(0.05):
                if time.monotonic() - heard > WAIT_S:
                    raise AssertionError(
                        f"The program said nothing for {WAIT_S:g} s after {last!r}; {fate}; seed {self.outcome.seed}.\n"
                        + (self._folder / "complaint.txt").read_text()[-6_000:]
                    )
                self._producer.poll(0)
                continue
            heard = time.monotonic()
            data = os.read(process.stdout.fileno(), 65_536)
            if not data:
                self._selector.unregister(process.stdout)
                return last
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                count, last = count + 1, line.decode()
                if last == "after finish":
                    batches += 1
                    if fate.lines is not None or batches < LAST_BATCHES:
                        self._feed()
                self._strike(process, fate, count, batches)

    def _feed(self) -> None:
        """Write some lines, each with a word of its own in it."""
        for _ in range(self._chance.randint(0, 6)):
            number = next(self._numbers)
            words = [f"w{self._chance.randrange(WORDS)}" for _ in range(self._chance.randint(1, 5))]
            line = " ".join([f"n{number}", *words])
            self._producer.produce(
                self._source,
                line.encode(),
                partition=number % PARTITIONS,
                on_delivery=self._noted,
            )
        self._producer.poll(0)

    def _noted(self, error: object, message: Message) -> None:
        if error is None:
            self._sent.append((message.value() or b"").decode())

    def _strike(self, process: subprocess.Popen[bytes], fate: Fate, count: int, batches: int) -> None:
        if fate.lines is None:
            if batches >= 2 * LAST_BATCHES and fate.stop_lines is None:
                fate.stop_lines = count
                process.send_signal(signal.SIGTERM)
            return
        if count == fate.stop_lines:
            process.send_signal(signal.SIGTERM)
        if count == fate.worker_lines:
            self._kill_a_worker(process)
        if count == fate.broker_lines:
            self.outcome.broker_kills += 1
            self._cluster.kill()
            self._cluster.start_node(1, wait=False)
        if count == fate.lines:
            process.kill()

    def _kill_a_worker(self, process: subprocess.Popen[bytes]) -> None:
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        workers = found.stdout.split()
        if workers:
            self.outcome.worker_kills += 1
            subprocess.run(["kill", "-9", self._chance.choice(workers)], check=False, stderr=subprocess.DEVNULL)
