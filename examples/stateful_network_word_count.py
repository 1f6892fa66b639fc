"""Count the words of all lines that a server has sent so far.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one; Ctrl-C stops it:

    python examples/stateful_network_word_count.py localhost 9999
"""

import sys

import millstream as ms


def add_to_total(new: list[int], total: int | None) -> int:
    """Called for a word with its values in this batch, and what was kept of it (None: nothing yet)."""
    return sum(new) + (total or 0)


def main(host: str, port: int) -> None:
    ssc = ms.StreamingContext(batch_interval=1.0)

    # The engine keeps one total for each word. With only_updated=True the function is called for the words of the batch
    # alone; without it, for all words that there have been.
    totals = (
        ssc.socket_text_stream(host, port)
        .flat_map(str.split)
        .map(lambda word: (word, 1))
        .update_state_by_key(add_to_total, only_updated=True)
    )
    totals.print()

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: stateful_network_word_count.py HOST PORT")
    main(sys.argv[1], int(sys.argv[2]))
