"""A program that counts the lines of a directory, with its checkpoint on an object store.

Run as `python object_program.py URL OPTIONS_AS_JSON DIRECTORY`; prints `started`, then the count after each batch that
changed it.
"""

from __future__ import annotations

import json
import sys

import millstream as ms


def main(url: str, options: str, directory: str) -> None:
    ssc = ms.StreamingContext(0.1, name="lines", checkpoint=url, storage_options=json.loads(options))
    lines = ssc.text_file_stream(directory, name="files")
    counts = lines.map(lambda line: ("all", 1)).update_state_by_key(
        lambda new, old: (old or 0) + sum(new), name="counts"
    )
    counts.foreach_rdd(lambda rdd: [print(count, flush=True) for _, count in rdd.collect()], name="shown")
    ssc.start()
    print("started", flush=True)
    ssc.await_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
