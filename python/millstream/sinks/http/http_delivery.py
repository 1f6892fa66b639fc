"""Posting one part until the service has taken or refused it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from millstream.environment.http_client import http_client, shown_service
from millstream.errors import SinkUnavailableError
from millstream.sinks.http.http_part import MEDIA_TYPES, POSITION_HEADER, BodyFormat, HttpPart

if TYPE_CHECKING:
    import httpx

MAY_PASS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which a part is posted again; 409 says that the same part is still being worked on."""

PAUSE_MAX_S = 30.0
RETRY_AFTER_MAX_S = 60.0
"""A service that asks for more is asked again after this."""

ANSWER_BYTES = 65_536
"""How much of an answer is read."""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where parts go, and how.

    Attributes:
        url: of the service.
        headers: of each request; may be secrets.
        format: of bodies.
        timeout_s: how long each step of a request may take.
        retries: how often a part is posted again.
        retry_pause_s: pause before the first retry; it doubles.
        concurrency: parts under way at once.
    """

    url: str
    headers: Mapping[str, str]
    format: BodyFormat
    timeout_s: float
    retries: int
    retry_pause_s: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service said when it refused a part for good.

    Attributes:
        status: of HTTP.
        answer: the beginning of what it said.
    """

    status: int
    answer: str


class _NotNowError(Exception):
    """A part was not taken, or nobody knows; `asked_s` is the pause that the service asks for, or None."""

    def __init__(self, said: str, asked_s: float | None) -> None:
        super().__init__(said)
        self.asked_s = asked_s


class HttpDelivery:
    """Posts parts; threads may share it.

    Args:
        target: where to.
        wall_ms: the time, for a service that names the moment from which on it may be asked again.
    """

    def __init__(self, target: HttpTarget, wall_ms: Callable[[], float]) -> None:
        self._target = target
        self._wall_ms = wall_ms
        self._client = http_client(target.url, timeout_s=target.timeout_s, connections=target.concurrency)
        self._closed = threading.Event()

    def post(self, part: HttpPart, position: str | None = None) -> Refusal | None:
        """Post a part, again where that may help.

        Args:
            part: what to post.
            position: how far a sender has come whose parts arrive in order, or None.

        Returns:
            None when it was taken, or why it never will be.

        Raises:
            SinkUnavailableError: it was not taken, or nobody knows; with the same key it can be posted again.
        """
        target = self._target
        headers = {"content-type": MEDIA_TYPES[target.format], **target.headers, "idempotency-key": part.key}
        if position is not None:
            headers[POSITION_HEADER] = position
        body = part.body(target.format)
        pause_s = target.retry_pause_s
        for retries_left in range(target.retries, -1, -1):
            try:
                refusal = self._posted(body, headers)
            except _NotNowError as error:
                not_now = error
            else:
                return refusal
            if retries_left == 0 or self._closed.wait(pause_s if not_now.asked_s is None else not_now.asked_s):
                break
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
        raise SinkUnavailableError(
            f"{shown_service(target.url)} does not take a part of the batch.",
            detail=f"{not_now}, after {target.retries} retries; the part has the key {part.key}.",
            hint="Look at the service and the way to it; the part is posted again with the same Idempotency-Key.",
        ) from not_now.__cause__

    def close(self) -> None:
        """Let go of the connections."""
        self._closed.set()
        self._client.close()

    def _posted(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """Post once; raises _NotNowError when it may be taken later."""
        import httpx

        try:
            status, answer, asked_s = self._asked(body, headers)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _NotNowError(f"{type(error).__name__}: {error}", None) from error
        if 200 <= status < 300:
            return None
        answer = self._scrubbed(answer)
        if status in MAY_PASS:
            raise _NotNowError(f"It answered {status} {answer}".rstrip(), asked_s)
        return Refusal(status, answer)

    def _asked(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, float | None]:
        """Make one request; give status, answer, and the pause that the service asks for."""
        with self._client.stream("POST", self._target.url, content=body, headers=dict(headers)) as response:
            answer = b""
            for piece in response.iter_bytes():
                answer += piece
                if len(answer) > ANSWER_BYTES:
                    break
            return response.status_code, answer[:200].decode(errors="replace"), self._retry_after_s(response)

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        value = response.headers.get("retry-after")
        if value is None:
            return None
        try:
            seconds = float(value)
        except ValueError:
            try:
                moment = parsedate_to_datetime(value)
            except ValueError:
                return None
            aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            seconds = (aware - datetime.fromtimestamp(self._wall_ms() / 1000.0, UTC)).total_seconds()
        return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None

    def _scrubbed(self, text: str) -> str:
        """Take secrets out of an answer that repeats them."""
        for value in self._target.headers.values():
            for secret in (value, value.removeprefix("Bearer ")):
                text = text.replace(secret, "***")
        return text
