"""Count the words of text files that appear in a directory.

A directory, and this program in one terminal; Ctrl-C stops it:

    mkdir /tmp/incoming
    python examples/hdfs_word_count.py /tmp/incoming

and a file in another one, written beside the directory and moved into it, so that it appears as a whole:

    echo "to be or not to be" > /tmp/words.txt
    mv /tmp/words.txt /tmp/incoming/
"""

import sys
from operator import add

import millstream as ms


def main(directory: str) -> None:
    ssc = ms.StreamingContext(batch_interval=1.0)

    # Every file is read exactly once, whenever it appears and however old it is.
    counts = ssc.text_file_stream(directory).flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(add)
    counts.print()

    ssc.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: hdfs_word_count.py DIRECTORY")
    main(sys.argv[1])
