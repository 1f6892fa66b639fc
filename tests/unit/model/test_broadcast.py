from __future__ import annotations

import gc
import pickle
import subprocess
import sys

import pytest

from millstream.errors import LifecycleError
from millstream.model.broadcast import Broadcast, BroadcastCopies, broadcasts_alive, broadcasts_pickled


def test_it_pickles_as_its_number_and_comes_home_as_itself() -> None:
    towns = Broadcast(["x" * 10_000])
    data = pickle.dumps(towns)
    assert len(data) < 100
    assert pickle.loads(data) is towns


def test_alive_are_those_that_something_refers_to() -> None:
    towns, rivers = Broadcast("towns"), Broadcast("rivers")
    numbers = towns.number, rivers.number
    assert [broadcasts_alive()[number] for number in numbers] == ["towns", "rivers"]
    del towns
    gc.collect()
    rivers.destroy()
    assert not set(numbers) & set(broadcasts_alive())


def test_a_destroyed_one_cannot_be_used() -> None:
    towns = Broadcast("towns")
    towns.destroy()
    towns.destroy()
    with pytest.raises(LifecycleError, match="destroyed"):
        _ = towns.value
    with pytest.raises(LifecycleError, match="destroyed"):
        pickle.dumps(towns)
    with pytest.raises(LifecycleError, match="destroyed"):
        BroadcastCopies().to_install([towns.number])


def test_pickling_notes_what_is_used() -> None:
    towns, rivers = Broadcast("towns"), Broadcast("rivers")
    with broadcasts_pickled() as outer:
        pickle.dumps(rivers)
        with broadcasts_pickled() as inner:
            pickle.dumps([towns])
    pickle.dumps(rivers)
    assert inner == {towns.number}
    assert outer == {towns.number, rivers.number}


def test_copies_are_sent_once_and_again_after_unpersist() -> None:
    towns, rivers, copies = Broadcast("towns"), Broadcast("rivers"), BroadcastCopies()
    assert copies.to_install([towns.number]) == [(towns.number, "towns")]
    assert copies.to_install([rivers.number, towns.number]) == [(rivers.number, "rivers")]
    assert copies.to_drop() == []
    towns.unpersist()
    assert copies.to_drop() == [towns.number]
    assert copies.to_install([towns.number]) == [(towns.number, "towns")]
    towns.unpersist()
    assert copies.to_install([towns.number]) == [(towns.number, "towns")]
    assert copies.to_drop() == []
    rivers.destroy()
    assert copies.to_drop() == [rivers.number]


def test_in_another_process_it_has_what_was_installed() -> None:
    towns, rivers = Broadcast({"ulm": 1}), Broadcast("not sent")
    program = """
import pickle, sys
from millstream.errors import InternalError, LifecycleError
from millstream.model.broadcast import broadcasts_pickled, drop_broadcast, install_broadcast
(number, value), (towns, rivers) = pickle.loads(sys.stdin.buffer.read())
install_broadcast(number, value)
assert towns.value == {"ulm": 1} and towns.number == number
for refused, kind in (
    (lambda: rivers.value, InternalError), (towns.unpersist, LifecycleError), (towns.destroy, LifecycleError)
):
    try:
        refused()
    except kind:
        pass
    else:
        raise AssertionError
with broadcasts_pickled() as numbers:
    pickle.dumps(towns)
assert numbers == {number}
drop_broadcast(number)
drop_broadcast(number)
"""
    message = pickle.dumps(((towns.number, towns.value), (towns, rivers)))
    subprocess.run([sys.executable, "-c", program], input=message, check=True)
