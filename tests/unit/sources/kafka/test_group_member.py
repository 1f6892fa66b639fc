"""A member of a group without room, without luck, and without its partitions: what it stores, commits and drops."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from millstream._core import KafkaClientError
from millstream.errors import DataError, InputFullError
from millstream.sources.kafka.group import group_member
from millstream.sources.kafka.group.group_lags import GroupLags
from millstream.sources.kafka.group.group_member import GroupMember
from millstream.sources.kafka.group.group_positions import GroupPositions


@pytest.fixture(autouse=True)
def no_commits_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_member, "COMMIT_S", 1e9)


class Group:
    """Gives what the test says, and notes what it is told."""

    def __init__(self) -> None:
        self.coming: list[Any] = []
        self.told: list[Any] = []
        self.refuses = False

    def poll(self, wait_s: float, most: int) -> Any:
        return self.coming.pop(0) if self.coming else None

    def events(self) -> list[Any]:
        return []

    def commit(self, offsets: Any, wait_s: float) -> None:
        if self.refuses:
            raise KafkaClientError("the group has no coordinator")
        self.told.append(("commit", offsets))

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append((name, *arguments))


class Watch:
    """Knows topics by one id, no committed offsets, and the offset 0."""

    topic_id = "id"

    def describe(self, names: list[str], timeout_s: float) -> Any:
        return [(name, self.topic_id, 2, None, None) for name in names]

    def committed(self, wanted: list[Any], timeout_s: float) -> Any:
        return [None for _ in wanted]

    def offsets(self, wanted: list[Any], timeout_s: float) -> Any:
        return [0 for _ in wanted]


class Case:
    def __init__(self, policy: Any = "fail") -> None:
        self.group = Group()
        self.lost: list[Any] = []
        self.stored: list[Any] = []
        self.reports: list[str] = []
        self.full = False
        group: Any = self.group
        self.watch = Watch()
        watch: Any = self.watch
        self.member = GroupMember(
            group,
            watch,
            GroupPositions(),
            GroupLags(),
            self.store,
            self.reports.append,
            self.lost.append,
            "earliest",
            policy,
        )
        self.turn(("given", [("t", 0), ("t", 1)], False))
        self.group.told.clear()

    def store(self, columns: Any, position: Any) -> None:
        if self.full:
            raise InputFullError("no room")
        self.stored.append((columns.table.column("offset").to_pylist(), position))

    def turn(self, *coming: Any) -> None:
        self.group.coming += coming
        for _ in coming or [None]:
            self.member.turn(100)


def records(partition: int, *offsets: int) -> Any:
    return "records", pa.table({"offset": list(offsets)}), [("t", partition, offsets[-1] + 1)]


def test_a_block_has_the_position_of_its_partitions() -> None:
    case = Case()
    case.turn(records(0, 0, 1), records(1, 5))
    assert case.stored == [([0, 1], {"t[0] id": 2}), ([5], {"t[1] id": 6})]
    case.member.leave()
    assert ("commit", [("t", 0, 2), ("t", 1, 6)]) in case.group.told


def test_without_room_partitions_are_paused_and_records_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_member, "PATIENCE_S", -1.0)
    case = Case()
    case.full = True
    case.turn(records(0, 0, 1))
    case.turn()
    assert ("pause", [("t", 0), ("t", 1)], True) in case.group.told
    assert case.stored == []
    case.full = False
    case.turn()
    assert ("pause", [("t", 0), ("t", 1)], False) in case.group.told
    assert case.stored == [([0, 1], {"t[0] id": 2})]


def test_what_there_was_no_room_for_is_dropped_when_a_partition_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_member, "PATIENCE_S", -1.0)
    case = Case()
    case.turn(records(0, 0, 1), records(1, 0))
    case.full = True
    case.turn(records(0, 2), records(1, 1), ("taken", [("t", 1)], False))
    assert ("commit", [("t", 1, 1)]) in case.group.told, "what is stored is committed before it is given back"
    assert ("go_on", [("t", 0, 2)], [("t", 0, 2)]) in case.group.told, "what is kept is read again"
    assert case.group.told[-1] == ("unassign", [("t", 1)])
    assert len(case.stored) == 2


def test_partitions_that_are_lost_are_not_committed() -> None:
    case = Case()
    case.turn(records(0, 0), ("taken", [("t", 0), ("t", 1)], True))
    assert not [told for told in case.group.told if told[0] == "commit"]
    assert case.group.told[-1] == ("unassign", [("t", 0), ("t", 1)])


def test_a_commit_that_fails_is_told_and_tried_again() -> None:
    case = Case()
    case.group.refuses = True
    case.turn(records(0, 0), ("taken", [("t", 1)], False))
    case.member.leave()
    assert "no coordinator" in case.reports[-1]
    case.group.refuses = False
    case.member.leave()
    assert ("commit", [("t", 0, 1)]) in case.group.told


def test_partitions_that_come_back_go_on_where_this_member_was() -> None:
    case = Case()
    case.turn(records(0, 0, 1, 2), ("taken", [("t", 0)], False), ("given", [("t", 0)], False))
    assert case.group.told[-1] == ("assign", [("t", 0, 3)])


def test_a_topic_that_was_made_anew_goes_on_from_its_beginning_and_is_told_by_a_policy() -> None:
    case = Case("earliest")
    case.turn(records(0, 0, 1))
    case.watch.topic_id = "other"
    case.turn(("out_of_range", [("t", 0)], False))
    [lost] = case.lost
    assert (lost.kind, lost.records) == ("lost", None)
    assert "its topic was made anew. It goes on at 0." in lost.message
    assert ("go_on", [("t", 0, 0)], [("t", 0, 0), ("t", 1, 0)]) in case.group.told
    case.turn(records(0, 0))
    assert case.stored[-1] == ([0], {"t[0] other": 1}), "offsets of the old topic are not compared with these"


def test_an_offset_that_is_gone_stops_the_member_unless_a_policy_says_otherwise() -> None:
    case = Case()
    with pytest.raises(DataError, match="gone before they were read"):
        case.turn(("out_of_range", [("t", 0)], False))
    assert case.lost == []
