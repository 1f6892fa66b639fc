"""Count the words of each batch with SQL: a batch as a table.

Something to connect to, in one terminal:

    millstream serve-text --port 9999

and this program in another one; Ctrl-C stops it:

    python examples/sql_network_word_count.py localhost 9999
"""

import sys

import polars as pl

import millstream as ms

QUERY = "SELECT word, COUNT(*) AS total FROM words GROUP BY word ORDER BY total DESC, word LIMIT 10"


def main(host: str, port: int) -> None:
    ssc = ms.StreamingContext(batch_interval=1.0)

    words = ssc.socket_text_stream(host, port).flat_map(str.split).map(lambda word: {"word": word})

    # Inside foreach_rdd a batch is an RDD, and an RDD of dicts is a table: a key is a column.
    def query(rdd: ms.RDD[dict[str, str]], batch: ms.Batch) -> None:
        if not rdd.is_empty():
            top = pl.SQLContext(words=rdd.to_polars()).execute(QUERY, eager=True)
            print(f"{batch.time:%H:%M:%S}", top, sep="\n", flush=True)

    words.foreach_rdd(query)

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: sql_network_word_count.py HOST PORT")
    main(sys.argv[1], int(sys.argv[2]))
