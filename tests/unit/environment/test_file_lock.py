from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from millstream.environment.clock import ManualClock
from millstream.environment.local_storage import LOCK, LocalStorage
from millstream.errors import FencedError

HOLD = """
import sys
from millstream.environment.local_storage import LocalStorage

lock = LocalStorage(sys.argv[1]).lock("holder")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_in_one_process_is_refused(tmp_path: Path) -> None:
    clock = ManualClock(100.0)
    lock = LocalStorage(tmp_path, clock=clock).lock("first")
    clock.advance(42.0)
    with pytest.raises(FencedError) as caught:
        LocalStorage(tmp_path, clock=clock).lock("second")
    text = str(caught.value)
    assert f"process {os.getpid()} on {socket.gethostname()} (program 'first', started 42 s ago)" in text
    assert "Stop process" in text
    lock.check()


def test_a_lock_that_was_released_can_be_taken(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    lock = storage.lock("first")
    lock.release()
    lock.release()
    with pytest.raises(FencedError, match="was released"):
        lock.check()
    storage.lock("second").check()


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(FencedError, match=f"process {child.pid} on .* \\(program 'holder'"):
            LocalStorage(tmp_path).lock("mine")
        child.send_signal(signal.SIGKILL)
        child.wait()
        LocalStorage(tmp_path).lock("mine").check()


def test_a_child_process_does_not_keep_it(tmp_path: Path) -> None:
    lock = LocalStorage(tmp_path).lock("first")
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        lock.release()
        LocalStorage(tmp_path).lock("second").check()
        child.kill()


@pytest.mark.parametrize("content", [b"", b"not JSON", b'{"pid": 1}', b'{"pid": 1, "since_ms": "x"}'])
def test_a_holder_that_has_not_written_its_name(tmp_path: Path, content: bytes) -> None:
    lock = LocalStorage(tmp_path).lock("first")
    (tmp_path / LOCK).write_bytes(content)
    with pytest.raises(FencedError, match="by another process"):
        LocalStorage(tmp_path).lock("second")
    lock.check()


def test_a_lock_whose_file_was_replaced_is_lost(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    lock = storage.lock("first")
    (tmp_path / LOCK).unlink()
    with pytest.raises(FencedError, match="removed or replaced"):
        lock.check()
    second = storage.lock("second")
    with pytest.raises(FencedError, match="removed or replaced"):
        lock.check()
    second.check()
