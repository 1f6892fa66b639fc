"""One run of the word count over Kafka: killed again and again, ended in order, and checked."""

from __future__ import annotations

import itertools
import random
import selectors
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from tests.kill.kafka.oracle import divergences, journalled
from tests.kill.kafka.program import INTERVAL_S, WINDOW_S, Settings
from tests.kill.killed_program import KilledProgram
from tests.kill.life import Fate, Life
from tests.kill.outcome import Outcome
from tests.servers.kafka.broker import KafkaCluster
from tests.servers.kafka.kafka_tool import KafkaTool

WAIT_S = 90.0
"""How long a program may say nothing; a broker that was killed is back after some seconds."""

LINES_MAX = 150
"""After so many lines a program is killed that has no crash point."""

CRASH_LINES_MAX = 20_000
"""After so many lines a program should long have come to its crash point: each is passed in every few batches."""

LAST_BATCHES = round(WINDOW_S / INTERVAL_S / 2)
"""For so many batches of the last life there are new records."""

IDLE_BATCHES = 10
"""After so many batches without a transaction all windows have run empty."""

BROKER_KILL_EVERY = 5
"""The broker is killed in every so-manieth life, and once at least."""

WORKER_KILL_EVERY = 3
"""A worker is killed in every so-manieth life, where there are workers, and once at least."""

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


class KafkaKillRun(KilledProgram):
    """Runs the program, life after life.

    Args:
        folder: an empty directory.
        cluster: one broker that may be killed.
        seed: for fates and records.
        backend: where tasks run.
    """

    MODULE = "tests.kill.kafka.program"

    def __init__(self, folder: Path, cluster: KafkaCluster, seed: int, backend: str) -> None:
        super().__init__(folder, seed, backend)
        self._cluster = cluster
        tool = KafkaTool(cluster, f"kill-{seed}-{backend}")
        self._source, self._target = tool.topic(PARTITIONS), tool.topic(PARTITIONS)
        options: dict[str, Any] = {
            "bootstrap.servers": cluster.servers,
            "enable.idempotence": True,
            "linger.ms": 1,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        self._producer = Producer(options)
        self._numbers = itertools.count()
        self._sent: list[str] = []
        self._is_fed = False
        self._idle_batches = 0
        # Of its own: records are made as batches come, and a seed is to bring the same kills each time.
        self._fates = random.Random(seed)
        self._lives_with_broker_kill: set[int] = set()
        self._lives_with_worker_kill: set[int] = set()

    def run(self, kills: int) -> Outcome:
        """Run it with so many kills of the driver and, beside them, some of the broker and of workers; and check it."""
        broker_kills = max(1, kills // BROKER_KILL_EVERY)
        self._lives_with_broker_kill = set(self._fates.sample(range(1, max(kills, broker_kills + 1)), broker_kills))
        others = [life for life in range(kills) if life not in self._lives_with_broker_kill]
        worker_kills = max(1, kills // WORKER_KILL_EVERY) if self._backend == "processes" and others else 0
        self._lives_with_worker_kill = set(self._fates.sample(others, min(worker_kills, len(others))))
        planned = broker_kills, len(self._lives_with_worker_kill)
        self._live_to_the_end(kills)
        # Not luck: a run in which one of them did not strike has tested less than it says.
        struck = self.outcome.broker_kills, self.outcome.worker_kills
        assert struck == planned, f"of the broker and of workers: {struck} kills, {planned} were planned"
        assert self.outcome.struck == self.outcome.planned, (
            f"struck at {self.outcome.struck}, {self.outcome.planned} were planned"
        )
        assert not self._producer.flush(60.0)
        outcome = self.outcome
        outcome.divergences = divergences(self._folder, self._cluster.servers, self._source, self._target, self._sent)
        outcome.records = len(self._sent)
        outcome.batches = len(journalled(self._folder, lambda text: None))
        return outcome

    def _fate(self) -> Fate:
        chance = self._fates
        if self.outcome.kills in self._lives_with_broker_kill:
            self._lives_with_broker_kill.discard(self.outcome.kills)
            return Fate(LINES_MAX, broker_lines=chance.randint(30, 60))
        if self.outcome.kills in self._lives_with_worker_kill:
            self._lives_with_worker_kill.discard(self.outcome.kills)
            # Some batches with a worker in the place of the one that was killed follow.
            worker_lines = chance.randint(15, 60)
            return Fate(worker_lines + chance.randint(20, 60), worker_lines=worker_lines)
        kind = chance.choices(["anywhere", "batch", "recovery", "stop"], [4, 8, 4, 1])[0]
        if kind == "anywhere":
            fate = Fate(chance.randint(1, LINES_MAX))
        else:
            fate = Fate(CRASH_LINES_MAX)
            if kind == "stop":
                fate.stop_lines = chance.randint(40, 100)
            fate.crash = f"{chance.choice(['before', 'after'])} {chance.choice(PLACES[kind])}"
            fate.count = chance.randint(1, 8) if kind == "batch" else 1
        return fate

    def _settings(self, fate: Fate) -> Settings:
        return Settings(
            folder=str(self._folder),
            servers=self._cluster.servers,
            source=self._source,
            target=self._target,
            backend=self._backend,
            crash=fate.crash,
            count=fate.count,
        )

    def _drive(self, life: Life) -> None:
        self._selector.register(life.output, selectors.EVENT_READ)
        heard = time.monotonic()
        self._feed(life)
        while True:
            if not self._selector.select(0.05):
                if time.monotonic() - heard > WAIT_S:
                    raise self._failure(f"The program said nothing for {WAIT_S:g} s", life)
                self._producer.poll(0)
                continue
            heard = time.monotonic()
            if not self._hear(life):
                self._selector.unregister(life.output)
                return

    def _feed(self, life: Life) -> None:
        """Write some lines, each with a word of its own in it; the last windows run empty."""
        if life.is_last and life.batches_count >= LAST_BATCHES:
            # A producer that has just lost its broker may take seconds until it writes what it was given.
            self._is_fed = not len(self._producer)
            self._producer.poll(0)
            return
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

    def _has_done_all(self, life: Life) -> bool:
        return self._is_fed and self._idle_batches >= IDLE_BATCHES

    def _strike(self, life: Life) -> None:
        if life.last == "after commit transaction":
            self._idle_batches = 0
        elif life.last == "after finish":
            self._idle_batches += 1
        if life.lines_count == life.fate.broker_lines:
            self.outcome.broker_kills += 1
            self._cluster.kill()
            self._cluster.start_node(1, wait=False)
        super()._strike(life)
