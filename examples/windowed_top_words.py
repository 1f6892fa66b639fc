"""Show the most frequent words of the last minute, every two seconds.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one; Ctrl-C stops it:

    python examples/windowed_top_words.py localhost 9999
"""

import sys
from operator import add, sub

import millstream as ms


def main(host: str, port: int) -> None:
    ssc = ms.StreamingContext(batch_interval=1.0)

    # A window slides over the batches. `add` takes in what entered it and `sub` takes out what left it, so a
    # window of an hour costs no more than one of a minute.
    counts = (
        ssc.socket_text_stream(host, port)
        .flat_map(str.split)
        .map(lambda word: (word, 1))
        .reduce_by_key_and_window(add, sub, window=60, slide=2)
    )

    # A function for the result of each window: an RDD, which can be asked for its largest elements.
    def show(rdd: ms.RDD[tuple[str, int]], batch: ms.Batch) -> None:
        top = rdd.top(5, key=lambda pair: pair[1])
        print(f"{batch.time:%H:%M:%S}", ", ".join(f"{word} {count}" for word, count in top), flush=True)

    counts.foreach_rdd(show)

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: windowed_top_words.py HOST PORT")
    main(sys.argv[1], int(sys.argv[2]))
