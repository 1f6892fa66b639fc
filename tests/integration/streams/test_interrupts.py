"""Ctrl-C, and SIGTERM, while a plain program waits in `run()`, on every backend."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.integration.line_server import Program

APP = """
import os
import sys
import threading
import millstream as ms

def say(text):
    os.write(1, (text + "\\n").encode())  # In one piece: print of two threads gets mixed within a line.

class Endless(ms.Receiver):
    def on_start(self):
        self.store(1)

    def on_stop(self):
        say("told to stop")
        if sys.argv[2] == "stuck":
            threading.Event().wait(60)

ssc = ms.StreamingContext(0.02, backend=sys.argv[1])
numbers = ssc.receiver_stream(Endless()).map(lambda x: x + 1)
numbers.foreach_rdd(lambda rdd: say(f"batch {rdd.collect()}"))
try:
    ssc.run()
finally:
    say(f"after run {ssc.state}")
"""


@pytest.mark.parametrize(
    ("backend", "number"),
    [("threads", signal.SIGINT), ("threads", signal.SIGTERM), ("processes", signal.SIGINT)],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value,
)
@pytest.mark.parametrize("receiver", ["well", "stuck"])
def test_one_signal_ends_cleanly_and_a_second_at_once(
    tmp_path: Path, backend: str, number: signal.Signals, receiver: str
) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Program([str(app), backend, receiver]) as program:
        program.read_until(lambda line: line == "batch [2]")
        program.process.send_signal(number)
        program.read_until(lambda line: line == "told to stop")
        if receiver == "stuck":
            program.process.send_signal(number)
        status, complaint = program.end()
    assert f"millstream: {number.name}: finishing what was received; once more stops at once." in complaint
    assert program.seen[-1] == "after run stopped"
    if receiver == "well":
        assert status == 0, complaint
        assert "Traceback" not in complaint
        return
    assert status == -signal.SIGINT, complaint
    assert f"millstream: {number.name}: stopping at once." in complaint
    assert complaint.rstrip().endswith("KeyboardInterrupt")
