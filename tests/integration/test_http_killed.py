"""A program that is killed while records are posted to it has each of them once that it answered for."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import httpx

from millstream.sinks.read_committed import read_committed

KILLS = 3
REQUESTS = 40


class Posted:
    """The program, started again when it is dead, and a sender that repeats what was not answered."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._port = 0
        self._url = ""
        self.start()

    def start(self) -> None:
        module = "tests.integration.posted_program"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(self._place), str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self._url = self.process.stdout.readline().strip()
        self._port = httpx.URL(self._url).port or 0

    def post(self, number: int, *, position: bool) -> None:
        headers = {"millstream-position": f"sender {number}"} if position else {}
        while True:
            try:
                answer = httpx.post(self._url, content=f"[{number}]", headers=headers, timeout=30)
            except httpx.TransportError:
                self.process.wait(30)
                self.close()
                self.start()
                continue
            assert answer.status_code in (202, 503), answer.text
            if answer.status_code == 202:
                return

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def test_what_was_answered_is_there_once_however_often_the_program_is_killed(tmp_path: Path) -> None:
    chance = random.Random(7)
    doomed = set(chance.sample(range(2, REQUESTS), KILLS))
    posted = Posted(tmp_path)
    for number in range(1, REQUESTS + 1):
        killing = threading.Thread(target=posted.process.kill)
        if number in doomed:
            killing.start()
        posted.post(number, position=True)
        posted.post(-number, position=False)
        if number in doomed:
            killing.join()
    posted.close()
    assert posted.process.wait(30) == 0
    counts = Counter(read_committed(tmp_path / "out"))
    assert {number: counts[number] for number in range(1, REQUESTS + 1)} == dict.fromkeys(range(1, REQUESTS + 1), 1)
    # Without a position the one whose answer a kill took away may be there twice.
    assert all(counts[-number] in (1, 2) for number in range(1, REQUESTS + 1))
    assert sum(counts[-number] - 1 for number in range(1, REQUESTS + 1)) <= KILLS
