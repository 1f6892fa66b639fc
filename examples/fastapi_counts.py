"""Count words inside a web service, and show the counts of the last minute live.

It needs `pip install "millstream[http]" fastapi`. Start it, open http://127.0.0.1:8000/ and post some text:

    python examples/fastapi_counts.py 8000
    curl --data-binary "to be or not to be" http://127.0.0.1:8000/lines
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import add, sub

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse

import millstream as ms
from millstream.errors import InputFullError

PAGE = """<!doctype html><title>Words</title><h1>Words of the last minute</h1><pre id="counts"></pre>
<script>new EventSource("events").onmessage =
  event => document.getElementById("counts").textContent = JSON.stringify(JSON.parse(event.data), null, 2)</script>"""


class Counts:
    """The newest counts, and those who wait for newer ones; used on the event loop only."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self._changed = asyncio.Event()

    def set(self, counts: dict[str, int]) -> None:
        if counts != self.newest:
            self.newest = counts
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def events(self) -> AsyncIterator[str]:
        while True:
            changed = self._changed
            yield f"data: {json.dumps(self.newest)}\n\n"
            await changed.wait()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The stream lives as long as the service does."""
    loop, counts = asyncio.get_running_loop(), Counts()
    ssc = ms.StreamingContext(batch_interval=0.5, name="counts")
    lines = ssc.memory_stream(max_records=10_000, on_full="raise", name="lines")
    (
        lines.flat_map(str.split)
        .map(lambda word: (word, 1))
        .reduce_by_key_and_window(add, sub, window=60, slide=0.5, name="counts")
        # The stream runs in threads of its own: what it finds is handed over to the event loop.
        .collect_to(lambda pairs: loop.call_soon_threadsafe(counts.set, dict(pairs)))
    )
    ssc.start()
    app.state.lines, app.state.counts = lines, counts
    app.state.stream = asyncio.create_task(ssc.wait())  # ends with the error, should the stream fail
    yield
    await asyncio.to_thread(ssc.stop)  # what was taken in is counted first
    await asyncio.gather(app.state.stream, return_exceptions=True)


app = FastAPI(title="Counts", lifespan=lifespan)


@app.post("/lines", status_code=202)
async def take(request: Request) -> dict[str, int]:
    """Take lines of text in."""
    lines = (await request.body()).decode(errors="replace").splitlines()
    try:
        request.app.state.lines.push_many(lines)
    except InputFullError as error:
        raise HTTPException(503, error.message, {"Retry-After": "1"}) from error
    return {"received": len(lines)}


@app.get("/counts")
async def show(request: Request) -> dict[str, int]:
    """The counts of the last minute."""
    counts: Counts = request.app.state.counts
    return counts.newest


@app.get("/events")
async def follow(request: Request) -> StreamingResponse:
    """The counts as they change, as server-sent events."""
    return StreamingResponse(request.app.state.counts.events(), media_type="text/event-stream")


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Whether the stream runs; with what made it stop, if it does not."""
    stream: asyncio.Task[None] = request.app.state.stream
    if not stream.done():
        return {"stream": "active"}
    raise HTTPException(503, f"The stream has stopped: {stream.exception()}")


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


if __name__ == "__main__":
    import uvicorn

    if len(sys.argv) != 2:
        sys.exit("usage: fastapi_counts.py PORT")
    # Pages that follow the counts would keep the service from ending.
    uvicorn.run(app, port=int(sys.argv[1]), timeout_graceful_shutdown=1)
