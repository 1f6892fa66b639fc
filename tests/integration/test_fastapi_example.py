"""The example of a stream inside a web service, over real HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.integration.line_server import Program


@pytest.fixture
def service() -> Iterator[tuple[Program, httpx.Client]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Program(["examples/fastapi_counts.py", str(port)]) as program:
        assert program.process.stderr is not None
        for line in program.process.stderr:
            if "Uvicorn running" in line:
                break
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield program, client


def test_counts_are_shown_live_and_the_stream_ends_with_the_service(service: tuple[Program, httpx.Client]) -> None:
    program, client = service
    assert client.get("/health").json() == {"stream": "active"}
    assert "EventSource" in client.get("/").text
    with client.stream("GET", "/events") as events:
        shown = (json.loads(line.removeprefix("data: ")) for line in events.iter_lines() if line)
        assert next(shown) == {}
        assert client.post("/lines", content="to be\nor not to be").json() == {"received": 2}
        counts = next(shown)
        assert counts == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert client.get("/counts").json() == counts
    program.interrupt()
    status, complaint = program.end()
    assert status == 0, complaint
    assert "Traceback" not in complaint
