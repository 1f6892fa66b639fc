"""The text server: sends a corpus, line by line and at a steady rate, to everyone who connects.

Runs in a process of its own: `python -m millstream.demo.text_server`, or `millstream serve-text` for people.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice

from millstream.demo.pace import Pace
from millstream.demo.server_arguments import add_server_arguments
from millstream.demo.source_end import end_of_source
from millstream.demo.text_corpus import TextCorpus
from millstream.errors import MillstreamError, SourceUnavailableError

TICK_S = 0.01
"""How often lines that are due are sent: far below a batch interval of the demonstration."""


class TextServer:
    """Sends each client the whole corpus from its beginning.

    Args:
        corpus: what is sent.
        rate_lines_per_s: lines a second for each client, > 0. A client that reads more slowly gets fewer.
    """

    def __init__(self, corpus: TextCorpus, rate_lines_per_s: float) -> None:
        self._corpus = corpus
        self._rate = rate_lines_per_s
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(
        self, host: str, port: int, *, until: asyncio.Event, ready: Callable[[str, int], None] | None = None
    ) -> None:
        """Listen, and serve until `until` is set.

        Args:
            host: address to listen on.
            port: port to listen on; 0: any free one.
            until: ends the server.
            ready: called once with the address and port that the server listens on.

        Raises:
            SourceUnavailableError: the address cannot be listened on.
        """
        try:
            server = await asyncio.start_server(self._accept, host, port)
        except (OSError, OverflowError) as error:
            raise SourceUnavailableError(
                f"The text server cannot listen on {host}:{port}.",
                detail=str(error),
                hint="Another program may use the port: give another --port, or 0 for any free one.",
            ) from error
        if ready is not None:
            ready(*server.sockets[0].getsockname()[:2])
        await until.wait()
        server.close()
        for client in tuple(self._clients):
            client.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._send(writer, self._corpus.lines())
        finally:
            self._clients.discard(client)
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, lines: Iterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        pace = Pace(self._rate, loop.time())
        while not writer.is_closing():
            count = pace.take(loop.time())
            if count:
                writer.write(b"".join(islice(lines, count)))
                await writer.drain()
            await asyncio.sleep(max(TICK_S, 1.0 / self._rate))


async def serve_until_stopped(
    server: TextServer, host: str, port: int, *, ready: Callable[[str, int], None], with_parent: bool = False
) -> None:
    """Serve until a signal comes or, `with_parent`, until the parent process ends."""
    await server.serve(host, port, until=end_of_source(with_parent=with_parent), ready=ready)


def main() -> int:
    """Serve for a parent process: one line of JSON on standard output says where."""
    parser = argparse.ArgumentParser(prog="python -m millstream.demo.text_server", description=__doc__)
    add_server_arguments(parser)
    options = parser.parse_args()
    try:
        corpus = TextCorpus.of_paths(options.paths) if options.paths else TextCorpus.of_python()
        server = TextServer(corpus, options.rate)
        asyncio.run(serve_until_stopped(server, options.host, options.port, ready=_announce, with_parent=True))
    except MillstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _announce(host: str, port: int) -> None:
    print(json.dumps({"host": host, "port": port}), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
