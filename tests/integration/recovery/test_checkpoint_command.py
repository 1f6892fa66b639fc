"""`millstream checkpoint`, as a person uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.cli import main
from millstream.testing import ManualClock

PROGRAM = """
import millstream as ms
ssc = ms.StreamingContext(1.0, name="app")
pairs = ssc.memory_stream().map(lambda n: (n, n))
pairs.update_state_by_key(lambda new, old: old, name={name!r}).print()
ssc.run()
"""


class Crash(BaseException):
    """Ends a run in the middle of a batch."""


def run(path: Path, numbers: list[int], *, crash_on: int | None = None) -> list[Any]:
    clock, seen = ManualClock(10.0), list[Any]()
    ssc = ms.StreamingContext(1.0, name="app", checkpoint=path, environment=ms.Environment(clock))
    stream = ssc.memory_stream(name="numbers")

    def look(rdd: Any) -> None:
        if crash_on in rdd.collect():
            raise Crash

    stream.map(lambda n: (n, n)).update_state_by_key(lambda new, old: sum(new, old or 0), name="sums").collect_to(seen)
    stream.foreach_rdd(look)
    ssc.start()
    for n in numbers:
        stream.push(n)
        clock.advance(1.0)
    ssc.stop(graceful=False)
    return seen


def test_show_says_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, [1, 2, 2])
    assert main(["checkpoint", "show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "program      app" in shown
    assert "sums  update_state_by_key, 2 keys" in shown
    assert "waits" not in shown


def test_show_flags_state_that_is_pickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(10.0)
    ssc = ms.StreamingContext(1.0, name="app", checkpoint=tmp_path, environment=ms.Environment(clock))
    pairs = ssc.memory_stream(name="numbers").map(lambda n: (n, n))
    for name, options in (("plain", ms.StateOptions()), ("risky", ms.StateOptions(codec="pickle"))):
        pairs.update_state_by_key(lambda new, old: sum(new, old or 0), name=name, state=options).print()
    ssc.start()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    capsys.readouterr()
    assert main(["checkpoint", "show", str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "update_state_by_key" in line}
    assert "pickled: may not survive an upgrade" in lines["risky"]
    assert "pickled" not in lines["plain"]


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def checkpointed(path: Path) -> dict[str, str]:
    """Make a checkpoint with a savepoint, two checkpoints after it and a batch that waits; name a file of each."""
    run(path, [1])
    (pinned,) = (path / "state").iterdir()
    assert main(["checkpoint", "save", str(path), "first"]) == 0
    run(path, [2])
    run(path, [3])
    run(path, [4, 13], crash_on=13)
    older, newest = sorted(file.name for file in (path / "state").iterdir() if file != pinned)
    return {
        "savepoint": "savepoints/first",
        "state of the savepoint": f"state/{pinned.name}",
        "state of the older checkpoint": f"state/{older}",
        "state of the newest checkpoint": f"state/{newest}",
        "journal": f"journal/{max(file.name for file in (path / 'journal').iterdir())}",
        "write-ahead log": f"wal/{max(file.name for file in (path / 'wal').iterdir())}",
    }


@pytest.mark.parametrize(
    "part",
    [
        "savepoint",
        "state of the savepoint",
        "state of the older checkpoint",
        "state of the newest checkpoint",
        "journal",
        "write-ahead log",
    ],
)
def test_verify_finds_a_flipped_bit_and_a_file_that_is_gone(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = checkpointed(tmp_path)[part]
    file = tmp_path / name
    assert main(["checkpoint", "verify", str(tmp_path)]) == 0
    capsys.readouterr()
    # The middle of what is written: behind it a segment has zeros.
    flip(file, len(file.read_bytes().rstrip(b"\0")) // 2)
    assert main(["checkpoint", "verify", str(tmp_path)]) == 1
    assert name in capsys.readouterr().err
    if part.startswith("state"):
        file.unlink()
        assert main(["checkpoint", "verify", str(tmp_path)]) == 1
        assert name in capsys.readouterr().err


def test_verify_misses_the_blocks_of_the_batch_that_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpointed(tmp_path)
    # As with a log of an older copy: it is whole, but only the journal knows what it has to hold.
    for segment in (tmp_path / "wal").iterdir():
        segment.unlink()
    capsys.readouterr()
    assert main(["checkpoint", "verify", str(tmp_path)]) == 1
    assert f"{tmp_path}/wal does not have the blocks [4]" in capsys.readouterr().err


def test_a_batch_that_waits_is_shown_and_can_be_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, [1, 13], crash_on=13)
    assert main(["checkpoint", "skip", str(tmp_path), "--batch", "11000"]) == 2
    assert "12000" in capsys.readouterr().err
    main(["checkpoint", "show", str(tmp_path)])
    assert "waits        the batch 12000" in capsys.readouterr().out
    assert main(["checkpoint", "skip", str(tmp_path), "--batch", "12000", "--reason", "poison"]) == 0
    capsys.readouterr()
    main(["checkpoint", "show", str(tmp_path)])
    assert "poison" in capsys.readouterr().out
    assert run(tmp_path, [2, 2, 2])[-1] == [(1, 1), (2, 6)]


PROGRAM_WITH_A_CLASS = """
import dataclasses, sys
import millstream as ms
from millstream.testing import ManualClock

@dataclasses.dataclass
class Reading:
    value: int

class Crash(BaseException):
    pass

def refuse(reading):
    raise Crash if sys.argv[2] == "wait" else ValueError("poison")

clock = ManualClock(10.0)
ssc = ms.StreamingContext(
    1.0, name="app", checkpoint=sys.argv[1], environment=ms.Environment(clock), on_failure="skip", batch_retries=0
)
readings = ssc.memory_stream(name="readings")
readings.map(refuse).print()
ssc.start()
readings.push(Reading(7))
clock.advance(1.0)
ssc.stop(graceful=False)
"""


@pytest.mark.parametrize("end", ["skip", "wait"])
def test_nobody_needs_the_classes_of_the_program_to_look_at_a_batch_and_skip_it(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app, place = tmp_path / "app.py", str(tmp_path / "checkpoint")
    app.write_text(PROGRAM_WITH_A_CLASS)
    subprocess.run([sys.executable, app, place, end], check=True, capture_output=True, timeout=60)
    if end == "wait":
        assert main(["checkpoint", "skip", place, "--batch", "11000", "--reason", "poison"]) == 0
    for action in ("show", "verify"):
        capsys.readouterr()
        assert main(["checkpoint", action, place]) == 0, capsys.readouterr().err
        assert action == "verify" or "poison" in capsys.readouterr().out


def test_save_pins_what_prune_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, [1])
    assert main(["checkpoint", "save", str(tmp_path), "first"]) == 0
    assert main(["checkpoint", "save", str(tmp_path), "first"]) == 2
    assert main(["checkpoint", "save", str(tmp_path), "no/name"]) == 2
    stray = tmp_path / "state" / "99-9-9"
    stray.write_bytes(b"left by a start that was cut short")
    assert main(["checkpoint", "prune", str(tmp_path)]) == 0
    assert not stray.exists()
    assert main(["checkpoint", "verify", str(tmp_path)]) == 0
    assert "1 savepoints" in capsys.readouterr().out


def test_diff_says_what_a_changed_program_does_with_the_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "checkpoint", [1])
    app = tmp_path / "app.py"
    for name, status, said in (("sums", 0, "sums: goes on"), ("totals", 1, "would be lost")):
        app.write_text(PROGRAM.format(name=name))
        assert main(["checkpoint", "diff", str(tmp_path / "checkpoint"), str(app)]) == status
        assert said in capsys.readouterr().out


@pytest.mark.parametrize("action", ["show", "verify", "prune"])
def test_a_place_without_a_checkpoint_is_said_and_left_alone(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "nothing"
    assert main(["checkpoint", action, str(place)]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert not place.exists()
