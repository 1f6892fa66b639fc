"""A driver that appends to a log on an object store until it is told otherwise.

Run as `python log_writer.py URL OPTIONS_AS_JSON`; prints `claimed`, then the number of each record that is durable, and
at the end the kind of the error.
"""

from __future__ import annotations

import itertools
import json
import sys

from millstream.blocks.opening import open_log
from millstream.environment.environment import Environment
from millstream.environment.opening import storage_of
from millstream.errors import MillstreamError


def main(url: str, options: str) -> None:
    environment = Environment()
    storage = storage_of(url, json.loads(options), environment)
    log = open_log(storage, "journal", storage.lock("writer"), environment=environment)
    print("claimed", flush=True)
    try:
        for count in itertools.count():
            print(log.append([(1, b"old %d" % count)]), flush=True)
    except MillstreamError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
