"""Show which words of the last ten seconds were felt most: a stream joined with a table.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one, with a file of words and how they feel, from -5 to 5; Ctrl-C stops it:

    python examples/network_word_join_sentiments.py localhost 9999 examples/sentiments.tsv
"""

import sys
from operator import add, sub

import millstream as ms


def word_and_value(line: str) -> tuple[str, int]:
    word, value = line.split("\t")
    return word, int(value)


def main(host: str, port: int, table: str) -> None:
    ssc = ms.StreamingContext(batch_interval=1.0)

    # A table is an RDD of a batch program; it is read once.
    feelings = ssc.context.text_file(table).map(word_and_value).persist()

    counts = (
        ssc.socket_text_stream(host, port)
        .flat_map(str.split)
        .map(lambda word: (word.lower().strip(".,:;!?()\"'"), 1))
        .reduce_by_key_and_window(add, sub, window=10, slide=1)
    )

    # transform hands over each batch as an RDD, so whatever RDDs can do can be done with it.
    felt = (
        counts.transform(lambda rdd: rdd.join(feelings))  # (word, (how often, value))
        .map(lambda pair: (pair[1][0] * pair[1][1], pair[0]))
        .transform(lambda rdd: rdd.sort_by(lambda pair: -abs(pair[0])))
    )
    felt.print()

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: network_word_join_sentiments.py HOST PORT TABLE")
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
