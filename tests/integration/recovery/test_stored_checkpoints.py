"""What version 1 kept, under other versions of Python, every later version goes on with.

The checkpoints in `stored` are never written anew. A version that writes another form adds checkpoints beside them.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from tests.integration.recovery.stored.make import (
    BEGIN_S,
    CRASHED,
    FIRST,
    LATER,
    POISON,
    REASON,
    SAVED,
    SAVEPOINT,
    WAITING,
)
from tests.integration.recovery.stored.program import Account, Class, Program, Ride

from millstream.cli import main
from millstream.environment.obstore_client import obstore_of
from millstream.environment.opening import storage_of
from millstream.recovery.dead_letters import read_dead_letters
from millstream.testing import ManualClock

STORED = sorted(path for path in Path(__file__).with_name("stored").iterdir() if "-python" in path.name)

NEW: tuple[Ride, ...] = (("taxi-06", 1, "1.11"), ("taxi-00", 2, "2.22"))
DURING = tuple(itertools.chain(FIRST, SAVED, *LATER, CRASHED))

_NUMBERS = itertools.count()


@pytest.fixture(params=STORED, ids=lambda path: path.name)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A copy of each checkpoint that is stored."""
    stored: Path = request.param
    if stored.name.startswith("disk"):
        return str(shutil.copytree(stored, tmp_path / "checkpoint"))
    url = f"memory://stored-{next(_NUMBERS)}"
    for file in sorted(stored.rglob("*")):
        if file.is_file():
            obstore_of(url).put(file.relative_to(stored).as_posix(), file.read_bytes())
    return url


def accounts(rides: Iterable[Ride]) -> list[tuple[str, Account]]:
    """Sum up in plain Python."""
    fares: dict[str, list[Decimal]] = {}
    for taxi, _, fare in rides:
        fares.setdefault(taxi, []).append(Decimal(fare))
    grade = {True: Class.OLD, False: Class.NEW}
    return sorted(
        (taxi, Account(len(paid), sum(paid, Decimal(0)), grade[len(paid) > 3])) for taxi, paid in fares.items()
    )


def test_the_program_goes_on_with_its_totals(place: str) -> None:
    program = Program(ManualClock(BEGIN_S + 69.5))
    ssc = program.start(place)
    # The batch that was cut short is the first one again.
    assert program.seen["accounts"] == accounts(DURING)
    # What the sender of the radio sends again is what the checkpoint has.
    program.radio.store_many(list(WAITING), position=round(BEGIN_S + 69.0) * 1_000)
    program.batch(radio=NEW[:1], pushed=NEW[1:])
    ssc.stop(graceful=False)
    assert program.seen["accounts"] == accounts([*DURING, *WAITING, *NEW])
    # Rides and kilometres of the last four batches, and three numbers of each of the last three.
    recent = Counter[str]()
    for taxi, km, _ in itertools.chain(*LATER[-2:], CRASHED, WAITING, NEW):
        recent[taxi] += km
    assert program.seen["recent"] == sorted(recent.items())
    assert program.seen["ticks"] == [("ticks", sum(range(21, 30)))]
    assert dict(program.seen["lengths"])["taxi-03"] == Counter({3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1})
    assert len(program.seen["lengths"]) < len(program.seen["accounts"])


def test_a_program_begins_from_the_savepoint(place: str, tmp_path: Path) -> None:
    program = Program(ManualClock(BEGIN_S + 100.0))
    ssc = program.start(str(tmp_path / "new"), savepoint=f"{place}/savepoints/{SAVEPOINT}")
    program.batch(pushed=NEW)
    ssc.stop(graceful=False)
    assert program.seen["accounts"] == accounts([*FIRST, *SAVED, *NEW])
    assert program.seen["ticks"] == [("ticks", sum(range(6, 9)))]


def test_what_was_given_up_is_read(place: str) -> None:
    (letter,) = read_dead_letters(storage_of(place))
    assert letter.error == REASON
    assert [(name, list(records)) for name, records in letter.blocks] == [("pushed", list(POISON))]


def test_the_commands_read_it(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "show", place]) == 0
    shown = capsys.readouterr().out
    for line in ("program      taxis", "waits        the batch 1700000069000", "radio  pushed, 1 records wait", REASON):
        assert line in shown
    assert f"accounts  update_state_by_key, {len(FIRST)} keys" in shown
    assert main(["checkpoint", "verify", place]) == 0
    assert "5 tables, 1 savepoints" in capsys.readouterr().out
