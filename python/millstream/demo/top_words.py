"""The program of the demonstration: the words that occur most often in a sliding window over lines of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import add, sub
from typing import TYPE_CHECKING

from millstream.model.batch import Batch

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD
    from millstream.stream.dstream import DStream


@dataclass(frozen=True, slots=True)
class WindowWords:
    """What one window holds.

    Attributes:
        batch_time_ms: batch time of the window, its end, milliseconds since the epoch.
        top: the most frequent words and how often they occur, most frequent first.
        distinct: how many different words there are.
    """

    batch_time_ms: int
    top: tuple[tuple[str, int], ...]
    distinct: int


def count_top_words(
    lines: DStream[str],
    *,
    window: float,
    slide: float,
    top: int,
    on_words: Callable[[list[int], Batch], None],
    on_window: Callable[[WindowWords], None],
) -> DStream[tuple[str, int]]:
    """Put the program together.

    Args:
        lines: lines of text.
        window: length of the window, seconds; a multiple of the batch interval.
        slide: distance between windows, seconds; a multiple of the batch interval.
        top: how many words are looked for.
        on_words: gets how many words each batch holds, a list of one number or, for an empty batch, none.
        on_window: gets what each window holds, in order of batch time.

    Returns:
        How often each word occurs in the window.
    """
    counts = (
        lines.flat_map(str.split)
        .map(lambda word: (word, 1))
        .reduce_by_key_and_window(add, sub, window=window, slide=slide, name="counts")
    )

    def look(rdd: RDD[tuple[str, int]], batch: Batch) -> None:
        # Why only letters: most of what stands between spaces in a program is operators, and no word.
        of_letters = rdd.filter(lambda pair: pair[0].isalpha())
        found = of_letters.top(top, key=lambda pair: (pair[1], pair[0]))
        on_window(WindowWords(batch.time_ms, tuple(found), rdd.count()))

    counts.foreach_rdd(look, name="top-words")
    # Why split again: one number a line is quicker to make than to keep all words of a batch for a second reader.
    lines.map(lambda line: len(line.split())).reduce(add).collect_to(on_words, name="words")
    return counts
