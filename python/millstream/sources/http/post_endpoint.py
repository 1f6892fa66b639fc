"""The application behind the server: one path that takes bodies in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from millstream.errors import InputFullError, LifecycleError, MillstreamError, UnavailableError
from millstream.sources.http.answer import Answer, RefusedError
from millstream.sources.http.bearer_tokens import BearerTokens
from millstream.sources.http.body_decoder import BodyDecoder
from millstream.sources.http.request_body import RequestBody
from millstream.sources.http.sender_position import POSITION_HEADER, sender_position

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class PostEndpoint:
    """Answers requests, by ASGI.

    Everything that waits for the disk or for room happens in the executor; the loop only moves bytes.

    Args:
        path: where bodies are posted.
        health_path: answered 200 to anybody; None: there is none.
        tokens: the secrets.
        decoder: makes records of bodies.
        store: stores the records of one body, with a position, and returns when they are stored.
        max_body_bytes: the largest body.
        body_timeout_s: how long a body may take to arrive.
        max_requests: how many bodies may be under way at once.
        retry_after_s: what senders are told when there is no room.
        executor: runs what waits.
        refused: told of refused requests: what kind, and from where.
        failed: told of what went wrong here.
    """

    def __init__(
        self,
        *,
        path: str,
        health_path: str | None,
        tokens: BearerTokens,
        decoder: BodyDecoder,
        store: Callable[[list[Any], Any], None],
        max_body_bytes: int,
        body_timeout_s: float,
        max_requests: int,
        retry_after_s: int,
        executor: Executor,
        refused: Callable[[str, str], None],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._path = path
        self._health_path = health_path
        self._tokens = tokens
        self._decoder = decoder
        self._store = store
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._max_requests = max_requests
        self._retry_after = {"retry-after": str(retry_after_s)}
        self._executor = executor
        self._refused = refused
        self._failed = failed
        self._under_way = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Take one request and answer it."""
        try:
            answer = await self._answer(scope, receive)
        except RefusedError as refusal:
            answer = refusal.answer
            if refusal.report is not None:
                self._refused(refusal.report, _peer(scope))
        except Exception as error:
            self._failed(f"A request from {_peer(scope)} failed.", error)
            answer = Answer(500, {"error": "The server failed; nothing was stored."})
        await _send(answer, send)

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        if path == self._health_path and path != self._path:
            return Answer(200, {"status": "ok"}) if method in ("GET", "HEAD") else _no_method("GET, HEAD")
        if path != self._path:
            return Answer(404, {"error": "There is nothing here."})
        if method != "POST":
            return _no_method("POST")
        headers = dict(scope["headers"])
        self._tokens.check(headers.get(b"authorization"))
        body = RequestBody(receive, self._max_body_bytes, self._body_timeout_s)
        body.check_length(headers.get(b"content-length"))
        media_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        self._decoder.check_type(media_type)
        position = sender_position(headers.get(POSITION_HEADER))
        if self._under_way >= self._max_requests:
            return self._busy("Too many requests are under way.")
        self._under_way += 1
        try:
            content = await body.read()
            encoding = headers.get(b"content-encoding", b"").lower()
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._take, body, content, encoding, media_type, position
            )
        finally:
            self._under_way -= 1

    def _take(self, body: RequestBody, content: bytes, encoding: bytes, media_type: str, position: Any) -> Answer:
        """Decode and store one body, off the loop."""
        try:
            records = self._decoder.records(body.unpacked(content, encoding), media_type)
            if records or position is not None:
                self._store(records, position)
        except InputFullError:
            return self._busy("There is no room now.")
        except LifecycleError:
            return self._busy("The stream is stopping.")
        except UnavailableError as error:
            self._failed("A body could not be stored; its sender was told to send it again.", error)
            return self._busy("The body could not be stored now.")
        except MillstreamError as error:
            self._failed(error.message, error)
            return Answer(500, {"error": "The server failed; nothing was stored."})
        return Answer(202, {"received": len(records)})

    def _busy(self, why: str) -> Answer:
        return Answer(503, {"error": f"{why} Send it again later."}, self._retry_after)


def _no_method(allowed: str) -> Answer:
    return Answer(405, {"error": f"Use {allowed}."}, {"allow": allowed})


def _peer(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return client[0] if client else "an unknown address"


async def _send(answer: Answer, send: Send) -> None:
    import msgspec

    content = msgspec.json.encode(answer.fields)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
