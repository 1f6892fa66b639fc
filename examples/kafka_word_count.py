"""Count the words of a Kafka topic over the last ten minutes, every two seconds, exactly once into another topic.

With a broker at localhost:9092 and two topics (docs/kafka.md says how to get them):

    python examples/kafka_word_count.py localhost:9092 lines counts /tmp/kafka-word-count

Write lines, and look at the counts as they are committed:

    bin/kafka-console-producer.sh --bootstrap-server localhost:9092 --topic lines
    bin/kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic counts --isolation-level read_committed \
        --property print.key=true

End the program in whatever way (Ctrl-C, `kill -9`), or the broker, start it again, and it goes on where it was: each
line is in the windows that it belongs to, and each window is in the topic once.
"""

import sys
from operator import add, sub

import millstream as ms


def count_words(
    ssc: ms.StreamingContext, servers: str, source: str, target: str, *, window: float = 600.0, slide: float = 2.0
) -> None:
    """Put the program together.

    Args:
        ssc: a context that has not started.
        servers: the brokers, `host:port`.
        source: the topic of lines.
        target: the topic of counts: the word is the key; window and count are the value, as JSON.
        window: length of the window, seconds.
        slide: time between windows, seconds; a multiple of the batch interval, as the window is.
    """
    lines = ssc.kafka_stream(servers, topics=[source], start="earliest", value_decoder="utf8", name="lines")
    counts = (
        lines.flat_map(lambda record: record.value.split())
        .map(lambda word: (word, 1))
        .reduce_by_key_and_window(add, sub, window=window, slide=slide, name="counts")
    )
    counts.map(lambda pair: (pair[0], {"window_end": ms.batch_time().isoformat(), "count": pair[1]})).save_to_kafka(
        servers, target, value="json", name="counts-topic"
    )


def main(servers: str, source: str, target: str, checkpoint: str) -> None:
    ssc = ms.StreamingContext(batch_interval=2.0, name="kafka-word-count", checkpoint=checkpoint)
    count_words(ssc, servers, source, target)
    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: kafka_word_count.py SERVERS SOURCE_TOPIC TARGET_TOPIC CHECKPOINT")
    main(*sys.argv[1:])
