"""The programs in the pictures: a family of operators each. What is drawn is what they put out."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docs.pictures import schemes
from docs.pictures.drawing import Stream, draw

import millstream as ms
from millstream.testing import run_batches


def total(values: list[int], old: int | None) -> int:
    """Keep the sum of all values of a key; for the pictures of state."""
    return (old or 0) + sum(values)


def calls(values: list[int], old: int | None) -> int:
    """Keep how often it was called for a key."""
    return (old or 0) + 1


def seen(key: str, value: int | None, state: ms.State[int]) -> tuple[str, str] | None:
    """Tell of the second visit of a key and of its end; for the picture of timeouts."""
    if state.is_timing_out():
        return key, "gone"
    state.update(state.get(0) + 1)
    return (key, f"visit {state.get()}")


NAMES = {
    "add": operator.add,
    "sub": operator.sub,
    "total": total,
    "calls": calls,
    "seen": seen,
    "StateSpec": ms.StateSpec,
}


@dataclass(frozen=True, slots=True)
class Family:
    """What one picture shows.

    Attributes:
        title: what is read out instead of it.
        inputs: the batches of each input, by its name.
        programs: expressions over the inputs' names, each drawn as a stream of its own.
        reach: for each program over windows: length and slide of its window, in batches.
    """

    title: str
    inputs: Mapping[str, Sequence[Sequence[Any]]]
    programs: Sequence[str]
    reach: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def picture(self) -> str:
        """Run the programs and draw what they give."""
        inputs = [Stream(name, batches) for name, batches in self.inputs.items()]
        return draw(self.title, [*inputs, *map(self._stream, self.programs)])

    def _stream(self, program: str) -> Stream:
        def build(_ssc: ms.StreamingContext, *streams: ms.DStream[Any]) -> ms.DStream[Any]:
            result: ms.DStream[Any] = eval(program, NAMES | dict(zip(self.inputs, streams, strict=True)))
            return result

        # One partition: records of a batch are in the order that a reader of the picture expects.
        out = run_batches(build, *map(list, self.inputs.values()), partitions=1)
        if program not in self.reach:
            return Stream(program, out)
        length, slide = self.reach[program]
        due = [number for number in range(len(out)) if (number + 1) % slide == 0]
        batches = [batch if number in due else None for number, batch in enumerate(out)]
        return Stream(program, batches, dict.fromkeys(due, length))


PAIRS = [[("a", 1), ("b", 5)], [("a", 2)], [], [("b", 1), ("b", 2)]]

FAMILIES = {
    "records": Family(
        "Each record of a batch by itself: flat_map gives words, filter keeps the long ones, map gives their length.",
        {"lines": [["to be", "or not"], ["that is"], [], ["the question"]]},
        [
            "lines.flat_map(str.split)",
            "lines.flat_map(str.split).filter(lambda word: len(word) > 2)",
            "lines.map(len)",
        ],
    ),
    "keys": Family(
        "The records of one batch together: count, reduce_by_key and group_by_key look at no other batch.",
        {"pairs": [[("a", 1), ("b", 5), ("a", 3)], [("a", 2)], [], [("b", 1), ("b", 2)]]},
        ["pairs.count()", "pairs.reduce_by_key(add)", "pairs.group_by_key()", "pairs.map_values(lambda v: v * 10)"],
    ),
    "joins": Family(
        "Two streams, batch by batch: union puts records behind each other, joins pair values of equal keys.",
        {"orders": [[("a", 1), ("b", 2)], [("a", 3)], []], "prices": [[("a", 10)], [("b", 20)], [("a", 30)]]},
        ["orders.union(prices)", "orders.join(prices)", "orders.left_outer_join(prices)", "orders.cogroup(prices)"],
    ),
    "windows": Family(
        "Windows: each result looks back over several batches, and keys that left the window disappear.",
        {"pairs": PAIRS},
        [
            "pairs.window(2)",
            "pairs.reduce_by_key_and_window(add, sub, window=3)",
            "pairs.count_by_window(4, slide=2)",
        ],
        {
            "pairs.window(2)": (2, 1),
            "pairs.reduce_by_key_and_window(add, sub, window=3)": (3, 1),
            "pairs.count_by_window(4, slide=2)": (4, 2),
        },
    ),
    "state": Family(
        "State: what is remembered of each key goes from batch to batch, for as long as the program wants.",
        {"pairs": PAIRS},
        [
            "pairs.update_state_by_key(total)",
            "pairs.update_state_by_key(calls)",
            "pairs.update_state_by_key(calls, only_updated=True)",
            "pairs.map_with_state(StateSpec.function(seen).timeout(1))",
        ],
    ),
    "rdds": Family(
        "transform hands each batch over as an RDD, which can be sorted, cut, or made distinct.",
        {"numbers": [[3, 1, 2, 1], [5, 4], [], [2, 2]]},
        [
            "numbers.transform(lambda rdd: rdd.sort_by(lambda x: x))",
            "numbers.transform(lambda rdd: rdd.distinct())",
            "numbers.transform(lambda rdd, batch: rdd.map(lambda x: x * batch.time_ms // 1000))",
        ],
    ),
}


def pictures() -> dict[str, str]:
    """Draw all pictures, by the names of their files without `.svg`."""
    return {
        "batches": schemes.batches(),
        "services": schemes.services(),
        "outputs": schemes.outputs(),
        **{name: family.picture() for name, family in FAMILIES.items()},
    }
