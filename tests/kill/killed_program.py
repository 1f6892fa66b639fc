"""A program that is run life after life: driven, killed, and its exit status checked."""

from __future__ import annotations

import os
import random
import selectors
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from tests.kill.life import Fate, Life
from tests.kill.life_settings import LifeSettings
from tests.kill.outcome import Outcome

REPOSITORY = Path(__file__).parents[2]


class KilledProgram(ABC):
    """Runs a program, life after life.

    Args:
        folder: an empty directory.
        seed: for fates and records.
        backend: where tasks run.

    Attributes:
        MODULE: what is run, with the encoded settings of its life as argument.
        outcome: what the run was so far.
    """

    MODULE: str

    def __init__(self, folder: Path, seed: int, backend: str) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._backend = backend
        self._selector = selectors.DefaultSelector()
        self.outcome = Outcome(seed, backend)

    @abstractmethod
    def run(self, kills: int) -> Outcome:
        """Run it with so many kills of the driver, end it, and check it."""

    @abstractmethod
    def _fate(self) -> Fate:
        """Choose how the next life ends."""

    @abstractmethod
    def _settings(self, fate: Fate) -> LifeSettings:
        """Say what a life is started with."""

    @abstractmethod
    def _drive(self, life: Life) -> None:
        """Serve the program, and `_hear` it, until its output ends."""

    @abstractmethod
    def _feed(self, life: Life) -> None:
        """Give the program more to do, as after each batch."""

    @abstractmethod
    def _has_done_all(self, life: Life) -> bool:
        """Whether the last life may be asked to stop."""

    def _live_to_the_end(self, kills: int) -> None:
        """Live until the program was killed so often, and then once to an end in order."""
        try:
            while self.outcome.kills < kills:
                self._live(self._fate())
            self._live(Fate(lines=None))
        finally:
            self._selector.close()

    def _live(self, fate: Fate) -> None:
        """Start the program and drive it to its end."""
        self.outcome.starts += 1
        with self._complaint.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", self.MODULE, self._settings(fate).encoded()],
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=REPOSITORY,
            )
        life = Life(process, fate)
        try:
            self._drive(life)
        finally:
            status = life.end()
        killed = status == -signal.SIGKILL
        if fate.crash is not None:
            self.outcome.planned.append(fate.crash)
            if killed and not life.was_killed:
                self.outcome.struck.append(fate.crash)
        if killed == life.is_last and status != 0:
            raise self._failure(f"The program ended with {status}", life)
        if killed:
            self.outcome.kills += 1
            self.outcome.points.append(life.last)

    def _hear(self, life: Life) -> bool:
        """Take what the program said, and feed and strike it as it goes; False: its output has ended."""
        points = life.read()
        for point in points or ():
            if life.passed(point):
                self._feed(life)
            self._strike(life)
        return points is not None

    def _strike(self, life: Life) -> None:
        """Do to the program what its fate has for it after so many lines."""
        fate = life.fate
        if life.is_last:
            if fate.stop_lines is None and self._has_done_all(life):
                fate.stop_lines = life.lines_count
                life.stop()
            return
        if life.lines_count == fate.stop_lines:
            life.stop()
        if fate.worker_lines is not None and life.lines_count >= fate.worker_lines and self._kill_a_worker(life):
            fate.worker_lines = None
        # Why not before: a life that is to lose a worker goes on until it has lost one.
        if fate.lines is not None and life.lines_count >= fate.lines and fate.worker_lines is None:
            life.kill()

    def _kill_a_worker(self, life: Life) -> bool:
        """Kill one of the workers; False while there is none."""
        workers = life.workers()
        if not workers:
            return False
        with suppress(ProcessLookupError):  # It died of itself: the next line tells of another one.
            os.kill(self._chance.choice(workers), signal.SIGKILL)
            self.outcome.worker_kills += 1
            return True
        return False

    @property
    def _complaint(self) -> Path:
        return self._folder / "complaint.txt"

    def _failure(self, what: str, life: Life) -> AssertionError:
        """Say what is wrong with the program itself, with the end of what it complained of."""
        complaint = self._complaint.read_text()[-6_000:]
        return AssertionError(f"{what} after {life.last!r} ({life.fate}); seed {self.outcome.seed}.\n{complaint}")
