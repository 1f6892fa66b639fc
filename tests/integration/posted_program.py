"""A program that keeps the numbers that are posted to it in files, until it is killed or told to stop."""

from __future__ import annotations

import sys

import millstream as ms


def main() -> None:
    """Say where to post to, and run."""
    place, port = sys.argv[1:]
    ssc = ms.StreamingContext(0.02, name="posted", checkpoint=f"{place}/checkpoint")
    posted = ssc.http_stream(port=int(port), name="posted")
    posted.save_as_json_files(f"{place}/out", name="out")
    ssc.start()
    print(posted.url(), flush=True)
    sys.stdin.read()
    ssc.stop()


if __name__ == "__main__":
    main()
