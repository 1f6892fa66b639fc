from __future__ import annotations

from typing import Any

import pytest

from millstream.errors import DataError
from millstream.sources.kafka.planner import Planner
from millstream.sources.kafka.topic_watch import Part, WatchedTopic


def known(*ends: tuple[int, int], id: str = "A") -> dict[str, WatchedTopic]:
    return {"t": WatchedTopic(id, [Part(number, low, high, 0) for number, (low, high) in enumerate(ends)])}


def at(*nexts: int | None, id: str = "A") -> dict[str, Any]:
    return {"t": {"id": id, "next": list(nexts)}}


def ranges(plan: Any) -> list[tuple[int, int, int]]:
    return [(split.data["partition"], split.data["from"], split.data["until"]) for split in plan.splits]


def test_a_plan_is_what_waits() -> None:
    plan = Planner("read_committed").plan(known((0, 10), (0, 5), (0, 7)), at(4, 5, 0), None, {}, 1)
    assert ranges(plan) == [(0, 4, 10), (2, 0, 7)]
    assert plan.position == at(10, 5, 7)
    assert plan.remaining == 0
    assert plan.splits[0].data["id"] == "A"


def test_nothing_new_leaves_the_position_as_it_is() -> None:
    position = at(10, 5)
    plan = Planner("read_committed").plan(known((0, 10), (0, 5)), position, None, {}, 1)
    assert plan.splits == []
    assert plan.position is position


def test_the_plan_before_is_not_changed() -> None:
    position = at(0)
    Planner("read_committed").plan(known((0, 10)), position, None, {}, 1)
    assert position == at(0)


def test_what_was_fetched_is_newer_than_what_was_said() -> None:
    plan = Planner("read_committed").plan(known((0, 10)), at(4), None, {("t", 0): 15}, 1)
    assert ranges(plan) == [(0, 4, 15)]
    # The end that is known is behind the position now, which means nothing yet.
    again = Planner("read_committed").plan(known((0, 10)), plan.position, None, {}, 1)
    assert (again.splits, again.position) == ([], at(15))


def test_a_partition_that_came_later_is_read_from_its_first_record() -> None:
    plan = Planner("read_committed").plan(known((0, 10), (3, 5)), at(10), None, {}, 1)
    assert ranges(plan) == [(1, 3, 5)]
    assert plan.position == at(10, 5)


def test_a_partition_whose_leader_has_not_answered_waits() -> None:
    plan = Planner("read_committed").plan(known((0, 10), (-1, -1)), at(0, 0), None, {}, 1)
    assert ranges(plan) == [(0, 0, 10)]
    assert plan.position == at(10, 0)


def test_a_limit_leaves_lag() -> None:
    planner = Planner("read_committed")
    plan = planner.plan(known((0, 90), (0, 10)), at(0, 0), 20, {}, 1)
    assert ranges(plan) == [(0, 0, 18), (1, 0, 2)]
    assert plan.remaining == 80
    assert plan.lags == planner.lags == {"t[0]": 72, "t[1]": 8}
    plan = planner.plan(known((0, 90), (0, 10)), at(90, 10), 20, {}, 1)
    assert plan.lags == {"t[0]": 0, "t[1]": 0}


def test_long_ranges_are_cut_without_gap() -> None:
    plan = Planner("read_committed", per_task=4).plan(known((0, 10)), at(0), None, {}, 1)
    assert ranges(plan) == [(0, 0, 3), (0, 3, 6), (0, 6, 10)]


@pytest.mark.parametrize(("policy", "start"), [("earliest", 6), ("latest", 10)])
def test_expired_offsets(policy: Any, start: int) -> None:
    planner = Planner("read_committed", on_offset_out_of_range=policy)
    plan = planner.plan(known((6, 10)), at(2), None, {}, 1)
    assert plan.position == at(10)
    assert [(report.kind, report.records) for report in planner.reports] == [("lost", start - 2)]
    with pytest.raises(DataError, match="gone before they were read"):
        Planner("read_committed").plan(known((6, 10)), at(2), None, {}, 1)


def test_an_end_before_the_position_is_believed_when_it_was_found_twice_more() -> None:
    planner = Planner("read_committed", on_offset_out_of_range="latest")
    for asked in (5, 6):
        assert planner.plan(known((0, 3)), at(9), None, {}, asked).position == at(9)
    assert planner.plan(known((0, 3)), at(9), None, {}, 7).position == at(3)
    assert [report.records for report in planner.reports] == [0]


def test_a_topic_that_was_made_anew() -> None:
    with pytest.raises(DataError, match="deleted and made anew"):
        Planner("read_committed").plan(known((0, 3), id="B"), at(9, 9), None, {}, 1)
    planner = Planner("read_committed", on_topic_change="restart")
    plan = planner.plan(known((0, 3), id="B"), at(9, 9), None, {}, 1)
    assert (ranges(plan), plan.position) == ([(0, 0, 3)], at(3, id="B"))
    assert len(planner.reports) == 1


def test_a_topic_that_is_gone() -> None:
    with pytest.raises(DataError, match="has been deleted"):
        Planner("read_committed").drop("t", at(9))
    assert Planner("read_committed", on_topic_change="restart").drop("t", at(9)) == {}
    assert Planner("read_committed").drop("other", at(9)) == at(9)


def test_a_plan_holds_while_its_topic_is_the_same() -> None:
    planner = Planner("read_committed")
    splits = planner.plan(known((0, 10), (0, 5)), at(4, 0), None, {}, 1).splits
    assert planner.confirm(splits, {"t": "A"}) == splits
    assert planner.confirm(splits, {}) == splits  # Nobody knows.


@pytest.mark.parametrize(
    ("now", "message", "detail"),
    [("B", "was deleted and made anew", "the id is B now"), (None, "has been deleted", "there is none of this name")],
)
def test_a_plan_of_another_topic_fails_or_is_left_out(now: str | None, message: str, detail: str) -> None:
    splits = Planner("read_committed").plan(known((0, 10), (0, 5)), at(4, 0), None, {}, 1).splits
    with pytest.raises(DataError, match=message) as failed:
        Planner("read_committed").confirm(splits, {"t": now})
    assert "t[0] 4..10, t[1] 0..5 of the topic with the id A" in str(failed.value.detail)
    assert detail in str(failed.value.detail)
    assert 'on_topic_change="restart"' in str(failed.value.hint)
    planner = Planner("read_committed", on_topic_change="restart")
    assert planner.confirm(splits, {"t": now}) == []
    [report] = planner.reports
    assert (report.kind, report.records) == ("lost", 11)
