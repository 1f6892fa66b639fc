"""`millstream serve-text`: something for a first program to connect to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from millstream.cli.exit_status import ExitStatus
from millstream.demo.text_corpus import TextCorpus
from millstream.demo.text_server import TextServer, serve_until_stopped


def serve_text(paths: Sequence[Path], host: str, port: int, rate_lines_per_s: float) -> ExitStatus:
    """Serve until Ctrl-C.

    Args:
        paths: text files and folders; none: the text of this Python's library.
        host: address to listen on.
        port: port to listen on; 0: any free one.
        rate_lines_per_s: lines a second for each client.

    Raises:
        ConfigurationError: there is no text at the paths.
        SourceUnavailableError: the address cannot be listened on.
    """
    corpus = TextCorpus.of_paths(paths) if paths else TextCorpus.of_python()

    def ready(at_host: str, at_port: int) -> None:
        text = f"Serving {rate_lines_per_s:g} lines/s of {len(corpus.files)} files on {at_host}:{at_port}"
        print(f"{text}; Ctrl-C stops.", flush=True)

    asyncio.run(serve_until_stopped(TextServer(corpus, rate_lines_per_s), host, port, ready=ready))
    return ExitStatus.OK
