"""Count the words of each batch of lines that a server sends.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one; Ctrl-C stops it:

    python examples/network_word_count.py localhost 9999
"""

import sys
from operator import add

import millstream as ms


def main(host: str, port: int) -> None:
    # Every second, what came in since the second before becomes one batch.
    ssc = ms.StreamingContext(batch_interval=1.0)

    counts = (
        ssc.socket_text_stream(host, port)  # lines of text
        .flat_map(str.split)  # words
        .map(lambda word: (word, 1))  # (word, 1) pairs
        .reduce_by_key(add)  # (word, how often in this batch)
    )
    counts.print()  # the first ten of each batch

    ssc.run()  # until Ctrl-C


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: network_word_count.py HOST PORT")
    main(sys.argv[1], int(sys.argv[2]))
