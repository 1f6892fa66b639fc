"""Whole programs in processes of their own: how they begin and, above all, how they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WAIT_S = 60.0

NO_GUARD = """
import sys
from dataclasses import dataclass
from operator import add
import millstream as ms

print("begins")
FACTOR = 3

@dataclass(frozen=True)
class Town:
    name: str
    size: int

def grown(town):
    return Town(town.name.upper(), town.size * FACTOR)

context = ms.Context("processes", workers=2)
towns = context.parallelize([Town("ulm", 1), Town("bonn", 2), Town("ulm", 3)], 3).map(grown)
assert towns.collect() == [Town("ULM", 3), Town("BONN", 6), Town("ULM", 9)], towns.collect()
assert all(type(town) is Town for town in towns.collect())
assert dict(towns.map(lambda town: (town.name, town.size)).reduce_by_key(add).collect()) == {"ULM": 12, "BONN": 6}
assert sorted(towns.key_by(lambda town: town).group_by_key().keys().collect(), key=lambda t: t.size)[0].size == 3
{ending}
print("ends")
"""

KILLED = """
import os, sys, threading
import millstream as ms

context = ms.Context("processes", workers=2)
pids = context.backend.worker_pids()

def at_work(index):
    if index:
        return index
    with open({told}, "w") as told:
        told.write(" ".join(map(str, pids)))
    while True:
        {busy}

context.parallelize([0, 1], 2).map(at_work).collect()
"""


def run(tmp_path: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "program.py"
    path.write_text(program)
    return subprocess.run(
        [sys.executable, *arguments, str(path)], capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path
    )


@pytest.mark.parametrize("ending", ["context.close()", "del context", "pass", "sys.exit(0)"])
def test_a_program_without_a_main_guard(tmp_path: Path, ending: str) -> None:
    ended = run(tmp_path, NO_GUARD.replace("{ending}", ending))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ["begins", "ends"] if ending != "sys.exit(0)" else ["begins"]


def test_a_program_that_fails(tmp_path: Path) -> None:
    ended = run(tmp_path, NO_GUARD.replace("{ending}", "towns.map(lambda town: 1 / (town.size - 6)).collect()"))
    assert ended.returncode == 1
    assert "UserCodeError" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    assert "towns.map(lambda town: 1 / (town.size - 6)).collect()" in ended.stderr
    assert ended.stdout.split() == ["begins"]


def test_modules_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import os\ndef here(x):\n    return x, os.getpid()\n")
    ended = run(
        tmp_path,
        "import os, beside, millstream as ms\n"
        "context = ms.Context('processes', workers=1)\n"
        "[(x, pid)] = context.parallelize([1]).map(beside.here).collect()\n"
        "assert x == 1 and pid != os.getpid()\n",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["-O"], ["-X", "utf8"], ["-W", "error"], ["-P"], ["-I"]])
def test_flags_of_the_interpreter(tmp_path: Path, arguments: list[str]) -> None:
    ended = run(
        tmp_path,
        "import sys, millstream as ms\n"
        "def flags(x):\n"
        "    import sys\n"
        "    return sys.flags.optimize, sys.flags.utf8_mode, sys.warnoptions\n"
        "context = ms.Context('processes', workers=1)\n"
        "[given] = context.parallelize([1]).map(flags).collect()\n"
        "if given != flags(0): sys.exit(f'{given} {flags(0)}')\n",
        *arguments,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits on processes that are not its children")
@pytest.mark.parametrize("busy", ["sum(range(1000))", "threading.Event().wait()", "b'x'.join([b''] * 10**8)"])
def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path, busy: str) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    path = tmp_path / "program.py"
    path.write_text(KILLED.replace("{busy}", busy).replace("{told}", repr(str(told))))
    driver = subprocess.Popen([sys.executable, str(path)])
    pids = [int(pid) for pid in told.read_text().split()]
    ends = [os.pidfd_open(pid) for pid in pids]
    driver.kill()
    driver.wait()
    for end in ends:
        ready, _, _ = select.select([end], [], [], WAIT_S)
        assert ready
        os.close(end)


def test_ctrl_c_ends_a_program_without_noise_of_its_workers(tmp_path: Path) -> None:
    fifo = tmp_path / "told"
    os.mkfifo(fifo)
    path = tmp_path / "program.py"
    path.write_text(
        "import threading, millstream as ms\n"
        "context = ms.Context('processes', workers=2)\n"
        "def endless(x):\n"
        f"    open({str(fifo)!r}, 'w').close()\n"
        "    threading.Event().wait()\n"
        "context.parallelize([1], 1).map(endless).collect()\n"
    )
    program = subprocess.Popen([sys.executable, str(path)], stderr=subprocess.PIPE, text=True, process_group=0)
    fifo.read_text()
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=WAIT_S)
    assert program.returncode == -signal.SIGINT
    assert errors.count("KeyboardInterrupt") == 1


def test_a_fork_of_the_driver_leaves_the_workers_alone(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "import os, sys, millstream as ms\n"
        "context = ms.Context('processes', workers=1)\n"
        "pids = context.backend.worker_pids()\n"
        "if os.fork() == 0: sys.exit(0)\n"
        "os.wait()\n"
        "assert context.parallelize([-1]).map(abs).collect() == [1]\n"
        "assert context.backend.worker_pids() == pids\n",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_program_ends_beside_a_thread_that_waits_for_tasks(tmp_path: Path) -> None:
    fifo = tmp_path / "told"
    os.mkfifo(fifo)
    ended = run(
        tmp_path,
        "import threading, millstream as ms\n"
        "context = ms.Context('processes', workers=2)\n"
        "def endless(x):\n"
        f"    open({str(fifo)!r}, 'w').close()\n"
        "    threading.Event().wait()\n"
        "def collect():\n"
        "    context.parallelize([1], 1).map(endless).collect()\n"
        "threading.Thread(target=collect, daemon=True).start()\n"
        f"open({str(fifo)!r}).read()\n",
    )
    assert ended.returncode == 0
