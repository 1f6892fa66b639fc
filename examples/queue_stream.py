"""Run a program over batches that are made here, without anything to connect to.

    python examples/queue_stream.py

It puts five batches of a thousand numbers into a queue and counts, in each, how many end with each digit.
"""

from operator import add
from queue import SimpleQueue

import millstream as ms

BATCHES = 5


def main() -> None:
    ssc = ms.StreamingContext(batch_interval=0.2)

    # A batch takes one element of the queue; a list may grow while the stream runs.
    queue = [list(range(1_000)) for _ in range(BATCHES)]
    digits = ssc.queue_stream(queue).map(lambda x: (x % 10, 1)).reduce_by_key(add)
    digits.print()

    # `collect_to` hands over the records of each batch: here to end the program when the last one is done.
    done: SimpleQueue[list[tuple[int, int]]] = SimpleQueue()
    digits.collect_to(done)

    with ssc:
        ssc.start()
        for _ in range(BATCHES):
            done.get()


if __name__ == "__main__":
    main()
