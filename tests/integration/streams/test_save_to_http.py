"""Batches that are posted to a service over real HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.streams.hook_server import Answer, Hooked, HookServer

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, SinkUnavailableError
from millstream.testing import ManualClock

TOKEN = "s3cret-f00"
QUICK = {"retry_pause": 0.001, "timeout": 5.0}


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


def run(url: str, batches: list[list[Any]], *, batch_retries: int = 0, **options: Any) -> None:
    """Run a stream over batches, and raise what made it stop."""
    clock = ManualClock(10.0)
    environment = ms.Environment(clock)
    with ms.StreamingContext(1.0, environment=environment, batch_retries=batch_retries, retry_pause=0.001) as ssc:
        ssc.queue_stream(batches).save_to_http(url, **{**QUICK, **options})
        ssc.start()
        for _ in range(len(batches) + 3):  # The last ones are for retries.
            clock.advance(1.0)
        if ssc.state == "stopped":
            ssc.await_termination(0)


def test_a_batch_is_posted_in_parts_with_a_key_each(either: ms.StreamingContext, clock: ManualClock) -> None:
    with HookServer() as hooks:
        batches = [[{"id": n} for n in range(5)], [], [{"id": 5}]]
        output = either.queue_stream(batches)
        output.save_to_http(hooks.url, token=TOKEN, headers={"X-Kind": "ids"}, max_records=2, name="ids")
        either.start()
        clock.advance(3.0)
        either.stop()
    assert [record for request in hooks.requests for record in request.records] == [{"id": n} for n in range(6)]
    assert all(1 <= len(request.records) <= 2 for request in hooks.requests)
    keys = [request.key for request in hooks.requests]
    assert len(set(keys)) == len(keys)
    first = hooks.requests[0]
    assert first.key.startswith("ids-")
    assert first.key.endswith("-1000-0")
    assert keys[-1].endswith("-3000-0")
    assert (first.path, first.headers["x-kind"]) == ("/hooks/T0p?key=k1", "ids")
    assert (first.headers["authorization"], first.headers["content-type"]) == (f"Bearer {TOKEN}", "application/json")


def test_lines_and_more_than_one_at_a_time(hooks: HookServer) -> None:
    both = threading.Barrier(2, timeout=10)

    def answer(request: Hooked) -> Answer:
        both.wait()
        return 204, {}, b""

    hooks.answer = answer
    run(hooks.url, [[1, 2]], format="lines", max_records=1, concurrency=2)
    assert sorted(request.body for request in hooks.requests) == [b"1\n", b"2\n"]
    assert hooks.requests[0].headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize("failure", [(503, {}, b"busy"), (429, {"Retry-After": "0"}, b""), (409, {}, b""), None])
def test_a_part_is_posted_again_with_the_same_key(hooks: HookServer, failure: Answer | None) -> None:
    hooks.answers = [(200, {}, b""), failure, failure]
    run(hooks.url, [[1, 2, 3]], max_records=1)
    keys = [request.key.rsplit("-", 1)[1] for request in hooks.requests]
    assert keys == ["0", "1", "1", "1", "2"]
    assert [request.records for request in hooks.requests][1:4] == [[2], [2], [2]]


def test_a_batch_that_is_tried_again_posts_only_what_was_not_taken(hooks: HookServer) -> None:
    hooks.answers = [(200, {}, b""), (503, {}, b""), (503, {}, b"")]
    run(hooks.url, [[1, 2, 3]], max_records=1, retries=1, batch_retries=3)
    assert [request.records[0] for request in hooks.requests] == [1, 2, 2, 2, 3]


def test_the_moment_that_a_service_names_is_waited_for(hooks: HookServer) -> None:
    hooks.answers = [(503, {"Retry-After": "Thu, 01 Jan 1970 00:00:05 GMT"}, b"")]
    run(hooks.url, [[1]], retry_pause=60.0)
    assert len(hooks.requests) == 2


def test_a_service_that_does_not_answer_stops_the_stream_in_the_end(hooks: HookServer) -> None:
    release = threading.Event()

    def answer(request: Hooked) -> None:
        release.wait(20)

    hooks.answer = answer
    with pytest.raises(SinkUnavailableError, match="does not take") as raised:
        run(hooks.url, [[1]], timeout=0.3, retries=1)
    release.set()
    assert "ReadTimeout" in str(raised.value)
    assert len(hooks.requests) == 2


def test_a_service_that_is_not_there_stops_the_stream_in_the_end() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(SinkUnavailableError, match="ConnectError"):
            run(f"http://127.0.0.1:{port}/", [[1]], retries=1)


def test_a_part_that_is_refused_stops_the_stream_and_shows_no_secret(
    hooks: HookServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hooks.answers = [(422, {}, f"no such field; you sent Bearer {TOKEN}".encode())]
    with pytest.raises(DataError) as raised:
        run(hooks.url, [[{"id": 7}]], token=TOKEN)
    text = str(raised.value)
    assert "422 no such field" in text
    assert '{"id":7}' in text
    assert "HTTP Request" in caplog.text
    assert all(secret not in text + caplog.text for secret in (TOKEN, "k1", "T0p"))


def test_a_redirect_is_refused_with_a_hint(hooks: HookServer) -> None:
    hooks.answers = [(307, {"Location": "https://example.org/"}, b"")]
    with pytest.raises(DataError, match="Redirects are not followed"):
        run(hooks.url, [[1]])


def test_a_part_that_is_refused_may_be_skipped(hooks: HookServer, caplog: pytest.LogCaptureFixture) -> None:
    hooks.answers = [(400, {}, b"bad")]
    run(hooks.url, [[1], [2]], on_refused="skip")
    assert [request.records for request in hooks.requests] == [[1], [2]]
    assert "refused 1 records" in caplog.text


def test_a_part_that_is_refused_may_become_a_dead_letter(hooks: HookServer, tmp_path: Path) -> None:
    hooks.answers = [(400, {}, b"bad id")]
    run(hooks.url, [[{"id": 1}], [{"id": 2}]], on_refused="dead_letter", dead_letters=tmp_path / "dead")
    (letter,) = (tmp_path / "dead").glob("*.json")
    content = json.loads(letter.read_text())
    assert content == {"key": letter.stem, "status": 400, "answer": "bad id", "records": [{"id": 1}]}


def test_a_program_that_goes_on_posts_the_batch_again_under_the_same_keys(hooks: HookServer, tmp_path: Path) -> None:
    def life(records: list[Any], **options: Any) -> None:
        clock = ManualClock(10.0)
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(1.0, name="p", checkpoint=tmp_path, environment=environment, batch_retries=0)
        numbers = ssc.memory_stream(name="numbers")
        numbers.save_to_http(hooks.url, max_records=1, name="hook", retry_pause=0.001, **options)
        ssc.start()
        for record in records:
            numbers.push(record)
        clock.advance(1.0)
        ssc.stop()

    hooks.answers = [(200, {}, b""), (503, {}, b"")]
    life([1, 2], retries=0)
    life([])
    assert [request.records for request in hooks.requests] == [[1], [2], [1], [2]]
    keys = [request.key for request in hooks.requests]
    assert keys[:2] == keys[2:]


def test_a_record_that_is_no_json_is_named(hooks: HookServer) -> None:
    with pytest.raises(ArgumentTypeError, match="object object"):
        run(hooks.url, [[object()]])
    assert hooks.requests == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "example.org"}, "needs a URL"),
        ({"url": "ftp://example.org/"}, "needs a URL"),
        ({"format": "xml"}, "format"),
        ({"token": f"{TOKEN}\n"}, "header"),
        ({"headers": {"X-A": 1}}, "header"),
        ({"on_refused": "panic"}, "on_refused has a value"),
        ({"on_refused": "dead_letter"}, "a place"),
        ({"dead_letters": "x"}, "a policy"),
        ({"max_records": 0}, "max_records"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options: dict[str, Any], text: str) -> None:
    stream = ms.StreamingContext(1.0).memory_stream()
    with pytest.raises(ConfigurationError, match=text) as raised:
        stream.save_to_http(**{"url": "http://127.0.0.1:1/", **options})
    assert TOKEN not in str(raised.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r'pip install "millstream\[http\]"'):
        ms.StreamingContext(1.0).memory_stream().save_to_http("http://127.0.0.1:1/")


def test_a_program_that_takes_posts_takes_each_part_once(tmp_path: Path) -> None:
    clock = ManualClock(10.0)
    taken: list[list[Any]] = []
    service = ms.StreamingContext(
        1.0, name="service", checkpoint=tmp_path / "service", environment=ms.Environment(clock)
    )
    posts = service.http_stream(name="posts", max_body_bytes=20)
    posts.collect_to(taken)
    service.start()
    clock.advance(0.1)

    def life(records: list[Any], **options: Any) -> ms.StreamingContext:
        own = ManualClock(10.0)
        ssc = ms.StreamingContext(
            1.0, name="sender", checkpoint=tmp_path / "sender", environment=ms.Environment(own), batch_retries=0
        )
        numbers = ssc.memory_stream(name="numbers")
        numbers.save_to_http(posts.url(), max_records=1, name="hook", retry_pause=0.001, **options)
        ssc.start()
        for record in records:
            numbers.push(record)
        own.advance(1.0)
        ssc.stop()
        return ssc

    with pytest.raises(DataError, match="413"):
        life(["first", "x" * 30, "third"]).await_termination(0)
    life([], on_refused="skip")
    clock.advance(1.0)
    service.stop()
    assert [record for batch in taken for record in batch] == ["first", "third"]


def test_only_parts_in_order_have_a_position(hooks: HookServer) -> None:
    run(hooks.url, [[1, 2]], max_records=1, concurrency=2)
    assert all("millstream-position" not in request.headers for request in hooks.requests)
    hooks.requests.clear()
    run(hooks.url, [[1, 2], [3]], max_records=1, name="hook")
    positions = [request.headers["millstream-position"].split() for request in hooks.requests]
    assert len({sender for sender, _ in positions}) == 1
    assert sorted(int(number) for _, number in positions) == [int(number) for _, number in positions]
