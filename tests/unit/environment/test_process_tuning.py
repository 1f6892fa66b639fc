from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.environment.process_tuning import SWITCH_INTERVAL_S, YOUNG_OBJECTS_MIN, ProcessTuning

Settings = tuple[float, bool, bool]


def settings() -> Settings:
    """Give the switch interval, whether garbage is collected automatically, and whether objects are frozen."""
    return round(sys.getswitchinterval(), 6), gc.isenabled(), gc.get_freeze_count() > 0


TUNED = (SWITCH_INTERVAL_S, False, True)


@pytest.fixture(autouse=True)
def nothing_is_frozen() -> None:
    """What the suite has frozen for each test would hide what is frozen here."""
    gc.unfreeze()


@pytest.fixture
def before() -> Iterator[Settings]:
    """The settings before a test, which are put back whatever happens."""
    was = settings()
    yield was
    assert ProcessTuning._users == 0
    assert settings() == was


def test_the_process_is_tuned_and_put_back(before: Settings) -> None:
    tuning = ProcessTuning()
    tuning.apply()
    during = settings()
    tuning.restore()
    assert during == TUNED
    assert settings() == before


def test_the_last_of_several_contexts_puts_it_back(before: Settings) -> None:
    first, second = ProcessTuning(), ProcessTuning()
    first.apply()
    second.apply()
    first.restore()
    first.restore()  # Once is enough.
    still = settings()
    second.restore()
    assert still == TUNED
    assert settings() == before


def test_what_was_never_tuned_puts_nothing_back(before: Settings) -> None:
    tuned, other = ProcessTuning(), ProcessTuning()
    tuned.apply()
    other.restore()
    still = settings()
    tuned.restore()
    assert still == TUNED


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        tuning = ProcessTuning()
        tuning.apply()
        tuning.restore()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_interval_that_the_program_chose_comes_back() -> None:
    was = sys.getswitchinterval()
    sys.setswitchinterval(0.02)
    try:
        tuning = ProcessTuning()
        tuning.apply()
        tuning.restore()
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        sys.setswitchinterval(was)


class Node:
    """Part of a cycle, which only the collector frees."""

    alive = 0

    def __init__(self) -> None:
        self.me: Any = self
        Node.alive += 1

    def __del__(self) -> None:
        Node.alive -= 1


def test_garbage_is_collected_in_idle_time_when_there_is_enough(before: Settings) -> None:
    tuning = ProcessTuning()
    tuning.apply()
    try:
        Node()
        tuning.idle(1_000.0)
        assert Node.alive == 1  # Too little to be worth a collection.
        for _ in range(YOUNG_OBJECTS_MIN):
            Node()
        tuning.idle(1_000.0)
        assert Node.alive == 0
    finally:
        tuning.restore()


def test_a_collection_that_does_not_fit_freezes_what_lives_long(before: Settings) -> None:
    tuning = ProcessTuning()
    tuning.apply()
    try:
        tuning._full_ms = 1e6
        frozen = gc.get_freeze_count()
        held = [[n] for n in range(20 * YOUNG_OBJECTS_MIN)]
        tuning.idle(0.1)
        # Less some that were frozen before and have gone: other threads of the process let go of objects meanwhile.
        assert gc.get_freeze_count() >= frozen + 0.9 * len(held)
    finally:
        tuning.restore()


def test_a_process_that_is_not_tuned_is_not_collected() -> None:
    gc.disable()
    try:
        for _ in range(2 * YOUNG_OBJECTS_MIN):
            Node()
        ProcessTuning().idle(1_000.0)
        assert Node.alive == 2 * YOUNG_OBJECTS_MIN
    finally:
        gc.enable()
        gc.collect()
