"""A local S3 server for one session of tests, in a thread of the tests' own process."""

from __future__ import annotations

import itertools
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECRET = "s3cret-key-of-the-tests"


class S3Server:
    """Buckets behind an endpoint; any key passes."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._numbers = itertools.count()

    @property
    def options(self) -> dict[str, Any]:
        """What obstore needs to know."""
        return {
            "endpoint": self.endpoint,
            "access_key_id": "tester",
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "allow_http": True,
        }

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses and give its name."""
        name = f"bucket-{next(self._numbers)}"
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")).close()
        return name


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """Give a server that is up."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()
