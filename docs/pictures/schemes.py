"""Pictures of what no program puts out: when things happen, and what is visible to whom."""

from __future__ import annotations

from docs.pictures.drawing import Stream, draw
from docs.pictures.timeline import Bar, draw_times


def batches() -> str:
    """How records become batches."""
    arrivals = [(0.2, "to"), (0.7, "be"), (1.35, "or"), (2.15, "not"), (2.5, "to"), (2.8, "be")]
    return draw_times(
        "Records arrive at any time; what arrived in a second is one batch, labelled with the end of that second.",
        ["0 s", "1 s", "2 s", "3 s"],
        [
            ("records arrive", [Bar(at, at, word, 1) for at, word in arrivals]),
            (
                "and are processed in batches",
                [
                    Bar(1.0, 1.62, "batch at 1 s: to be", 3),
                    Bar(2.0, 2.55, "batch at 2 s: or", 3),
                    Bar(3.0, 3.0, "...", 3),
                ],
            ),
        ],
    )


def services() -> str:
    """How map and map_async wait."""
    words = ["to", "be", "or", "not"]
    one_after_another = [Bar(number, number + 1, word, 1 + number) for number, word in enumerate(words)]
    lanes = [(0, 1, 0), (0, 1, 1), (0, 1, 2), (1, 2, 0)]
    together = [
        Bar(begin, end, word, 1 + number, lane)
        for number, (word, (begin, end, lane)) in enumerate(zip(words, lanes, strict=True))
    ]
    return draw_times(
        "Four look-ups that wait 20 ms each: map makes them one after another, map_async has three in flight at once.",
        ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms"],
        [
            ("words.map(look_up)", one_after_another),
            ("words.map_async(look_up, concurrency=3)", together),
        ],
    )


def outputs() -> str:
    """What is staged, and what is visible."""
    return draw(
        "What tasks stage is seen by nobody; a commit makes a batch visible, once, also when an attempt failed.",
        [
            Stream("words", [["to", "be"], ["or", "not"], ["to", "be"]]),
            Stream("staged by a first attempt, which fails in the second batch", [["to", "be"], ["or"], ["to", "be"]]),
            Stream("staged by a second attempt", [None, ["or", "not"], None]),
            Stream(
                "what a reader sees",
                [["to", "be"], ["to", "be", "or", "not"], ["to", "be", "or", "not", "to", "be"]],
            ),
        ],
    )
