"""Ctrl-C while a plain program waits in `run()`, on every backend."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.integration.line_server import Program

APP = """
import sys
import threading
import millstream as ms

class Endless(ms.Receiver):
    def on_start(self):
        self.store(1)

    def on_stop(self):
        print("told to stop", flush=True)
        if sys.argv[2] == "stuck":
            threading.Event().wait(60)

ssc = ms.StreamingContext(0.02, backend=sys.argv[1])
numbers = ssc.receiver_stream(Endless()).map(lambda x: x + 1)
numbers.foreach_rdd(lambda rdd: print("batch", rdd.collect(), flush=True))
try:
    ssc.run()
finally:
    print("after run", ssc.state, flush=True)
"""


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("receiver", ["well", "stuck"])
def test_one_interrupt_ends_cleanly_and_a_second_at_once(tmp_path: Path, backend: str, receiver: str) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Program([str(app), backend, receiver]) as program:
        program.read_until(lambda line: line == "batch [2]")
        program.interrupt()
        program.read_until(lambda line: line == "told to stop")
        if receiver == "stuck":
            program.interrupt()
        status, complaint = program.end()
    assert "millstream: SIGINT: finishing what was received; once more stops at once." in complaint
    assert program.seen[-1] == "after run stopped"
    if receiver == "well":
        assert status == 0, complaint
        assert "Traceback" not in complaint
        return
    assert status == -signal.SIGINT, complaint
    assert "millstream: SIGINT: stopping at once." in complaint
    assert complaint.rstrip().endswith("KeyboardInterrupt")
