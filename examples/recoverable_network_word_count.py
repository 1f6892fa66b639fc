"""Count the words of all lines that a server has sent so far, in a program that may die at any time.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one:

    python examples/recoverable_network_word_count.py localhost 9999 /tmp/word-checkpoint /tmp/word-counts

End it in whatever way (Ctrl-C, `kill -9`), start it again, and the totals go on where they were. What it has written is
shown, each batch once, by

    python -c "import millstream as ms; [print(line) for line in ms.read_committed('/tmp/word-counts')]"
"""

import sys
from operator import add

import millstream as ms


def added_up(word: str, count: int | None, total: ms.State[int]) -> tuple[str, int]:
    """Called for each word of a batch, with what is kept of it."""
    total.update(total.get(0) + (count or 0))
    return word, total.get()


def main(host: str, port: int, checkpoint: str, output: str) -> None:
    # The program is always put together by running it: nothing of it is in the checkpoint, so it may be changed
    # between two runs. What is kept for it, is kept under the names that are given here.
    ssc = ms.StreamingContext(batch_interval=1.0, name="word-counts", checkpoint=checkpoint)

    words = ssc.socket_text_stream(host, port, name="lines").flat_map(str.split)

    # Words that are not counted, and how many there were: plain Python objects, made anew at each start.
    excluded = ssc.context.broadcast({"a", "the", "of"})
    dropped = ssc.context.accumulator(0)

    def counted(word: str) -> bool:
        if word in excluded.value:
            dropped.add(1)
            return False
        return True

    totals = (
        words.filter(counted)
        .map(lambda word: (word, 1))
        .reduce_by_key(add)
        .map_with_state(ms.StateSpec.function(added_up), name="totals")  # gives the words of the batch
    )
    # A file of a batch is there as a whole or not at all, and once, however often the program dies.
    totals.map(lambda pair: f"{pair[0]} {pair[1]}").save_as_text_files(output, name="file")

    def show(pairs: list[tuple[str, int]], batch: ms.Batch) -> None:
        print(f"{batch.time:%H:%M:%S}", dict(pairs), f"and {dropped.value} excluded since the start", flush=True)

    totals.foreach_batch(show, name="screen")

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: recoverable_network_word_count.py HOST PORT CHECKPOINT OUTPUT")
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
