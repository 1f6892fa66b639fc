"""Records that are posted to a stream over real HTTP."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import millstream as ms
from millstream.errors import ConfigurationError, SourceUnavailableError
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.model.partition import rows_of
from millstream.observe.events import ReceiverFailed
from millstream.sources.http.http_receiver import HttpReceiver
from millstream.testing import ManualClock

WAIT_S = 30.0
TOKEN = "s3cret-f00"


class Failures(ms.StreamingListener):
    def __init__(self) -> None:
        self.heard: SimpleQueue[ReceiverFailed] = SimpleQueue()

    def on_receiver_failed(self, event: ReceiverFailed) -> None:
        self.heard.put(event)

    def next(self, timeout_s: float = WAIT_S) -> str:
        event = self.heard.get(timeout=timeout_s)
        return f"{event.message} {event.error}"


class Posted:
    """A stream, a client of it, and what its batches held."""

    def __init__(self, ssc: ms.StreamingContext, clock: ManualClock, **options: Any) -> None:
        self.clock = clock
        self.failures = Failures()
        self.batches: list[list[Any]] = []
        ssc.add_listener(self.failures)
        self.stream = ssc.http_stream(**options)
        self.stream.collect_to(self.batches)
        ssc.start()
        clock.advance(0.1)
        self.url = self.stream.url()
        self.client = httpx.Client(timeout=WAIT_S)

    def post(self, content: bytes | str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(self.url, content=content, headers=named)

    def heard(self) -> str:
        """Give the next failure that listeners hear of, each time the clock moves."""
        for _ in range(round(WAIT_S / 0.01)):
            self.clock.advance(0)
            with suppress(Empty):
                return self.failures.next(0.01)
        raise AssertionError("nobody reported a failure")

    def records(self) -> list[Any]:
        self.clock.advance(1.0)
        return [record for batch in self.batches for record in batch]

    def connect(self) -> socket.socket:
        url = httpx.URL(self.url)
        return socket.create_connection((url.host, url.port or 0), timeout=WAIT_S)


Post = Callable[..., Posted]


@pytest.fixture
def serve(either: ms.StreamingContext, clock: ManualClock) -> Iterator[Post]:
    made: list[Posted] = []

    def serve(**options: Any) -> Posted:
        made.append(Posted(either, clock, **options))
        return made[-1]

    yield serve
    for posted in made:
        posted.client.close()


@pytest.fixture
def alone() -> Iterator[Post]:
    """The same on threads only, for what has nothing to do with executors."""
    clock = ManualClock()
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        posted: list[Posted] = []

        def serve(**options: Any) -> Posted:
            posted.append(Posted(ssc, clock, **options))
            return posted[-1]

        yield serve
        for each in posted:
            each.client.close()
        ssc.stop(graceful=False)


def test_elements_of_json_arrays_are_records(serve: Post) -> None:
    posted = serve(path="/orders")
    answer = posted.post('[{"id": 1}, {"id": 2}]', content_type="application/json; charset=utf-8")
    assert (answer.status_code, answer.json()) == (202, {"received": 2})
    assert posted.post('{"id": 3}').status_code == 202
    assert posted.post('{"id": 4}\n\n{"id": 5}\n', content_type="application/x-ndjson").json() == {"received": 2}
    assert posted.post("[]").json() == {"received": 0}
    assert posted.records() == [{"id": n} for n in range(1, 6)]


def test_lines_are_records(alone: Post) -> None:
    posted = alone(format="lines")
    assert posted.post("to be\r\nor ünot\n").json() == {"received": 2}
    broken = posted.post(b"fine\nnot \xff utf-8")
    assert (broken.status_code, broken.json()["line"], broken.json()["byte"]) == (400, 2, 9)
    assert posted.records() == ["to be", "or ünot"]


def test_bodies_are_records(alone: Post) -> None:
    posted = alone(format="bytes")
    assert posted.post(b"\x00\xff", content_type="image/png").json() == {"received": 1}
    assert posted.records() == [b"\x00\xff"]


def test_a_decoder_makes_records_and_may_refuse(alone: Post) -> None:
    def halves(body: bytes) -> Iterator[int]:
        if body == b"boom":
            raise KeyError("boom")
        for part in body.split(b","):
            yield int(part)

    posted = alone(decoder=halves)
    assert posted.post("1,2").status_code == 202
    refused = posted.post("1,x")
    assert refused.status_code == 400
    assert "invalid literal" in refused.json()["error"]
    failed = posted.post("boom")
    assert (failed.status_code, "boom" in failed.text) == (500, False)
    assert "without" not in posted.heard()
    assert "KeyError" in posted.heard()
    assert posted.records() == [1, 2]


def test_packed_bodies_are_unpacked_within_the_limit(alone: Post) -> None:
    posted = alone(max_body_bytes=1_000)
    assert posted.post(gzip.compress(b"[1, 2]"), content_encoding="gzip").json() == {"received": 2}
    assert posted.post(gzip.compress(b" " * 100_000), content_encoding="gzip").status_code == 413
    assert posted.post(gzip.compress(b"[3]")[:-4], content_encoding="gzip").status_code == 400
    assert posted.post(b"[3]", content_encoding="gzip").status_code == 400
    assert posted.post(b"[3]", content_encoding="br").status_code == 415
    assert posted.records() == [1, 2]


@pytest.mark.parametrize(
    ("body", "media_type", "position"),
    [
        ("[1, 2", "application/json", "byte"),
        ("", "application/json", "byte 0"),
        ("1\n{\n", "application/jsonl", "Line 2"),
        ("[" * 100_000, "application/json", "no JSON"),
        (b'["\xff"]'.decode("latin-1"), "application/json", "no JSON"),
    ],
)
def test_broken_json_is_refused_with_its_position(alone: Post, body: str, media_type: str, position: str) -> None:
    posted = alone()
    answer = posted.post(body.encode("latin-1"), content_type=media_type)
    assert answer.status_code == 400
    assert position in answer.json()["error"]
    assert "127.0.0.1" in posted.heard()
    assert posted.records() == []


def test_a_request_without_the_token_is_refused_and_no_secret_is_shown(
    alone: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    posted = alone(token=[TOKEN, "the-next-one"])
    missing = posted.post("[1]")
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
    assert posted.post("[1]", authorization=f"Bearer {TOKEN}x").status_code == 401
    assert posted.post("[1]", authorization=f"Basic {TOKEN}").status_code == 401
    assert posted.post("[1]", authorization=f"Bearer {TOKEN}").status_code == 202
    assert posted.post("[2]", authorization="bearer the-next-one").status_code == 202
    heard = posted.heard() + posted.heard()
    assert "without a token" in heard
    assert "with a wrong token" in heard
    assert posted.records() == [1, 2]
    assert TOKEN not in heard + caplog.text + repr(posted.stream)


def test_a_body_that_is_too_large_is_refused(alone: Post) -> None:
    posted = alone(max_body_bytes=100)
    assert posted.post(json.dumps(list(range(20)))).status_code == 202
    said = posted.post(json.dumps(list(range(200))))
    assert (said.status_code, said.json()["max_body_bytes"]) == (413, 100)
    unsaid = posted.client.post(posted.url, content=iter([b"[1", b"," * 1_000, b"]"]))
    assert unsaid.status_code == 413
    assert "too large" in posted.heard()
    assert posted.records() == list(range(20))


def test_a_body_that_stops_half_way_is_dropped_whole_and_reported(alone: Post) -> None:
    posted = alone(format="lines")
    with posted.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nto be\nor not\n")
    assert "whose body stopped half way" in posted.heard()
    assert posted.post("to go").status_code == 202
    assert posted.records() == ["to go"]


def test_a_body_that_does_not_arrive_in_time_is_dropped(alone: Post) -> None:
    posted = alone(body_timeout=0.05)
    with posted.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[1, 2, 3")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 408 ")
    assert posted.records() == []


def test_other_paths_methods_and_types_are_answered(alone: Post) -> None:
    posted = alone(path="/orders", health_path="/health")
    root = posted.url.removesuffix("/orders")
    assert posted.client.get(posted.url).status_code == 405
    assert posted.client.get(posted.url).headers["allow"] == "POST"
    assert posted.client.post(root + "/other", content="[1]").status_code == 404
    assert posted.client.get(root + "/health").json() == {"status": "ok"}
    assert posted.client.post(root + "/health").status_code == 405
    form = posted.post("a=1", content_type="application/x-www-form-urlencoded")
    assert (form.status_code, "application/json" in form.json()["error"]) == (415, True)
    with posted.connect() as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 400 ")
    assert posted.records() == []


def test_a_body_for_which_there_is_no_room_is_answered_503(alone: Post) -> None:
    posted = alone(max_records_per_s=0.05, max_wait=0.01)  # five records are a hundred seconds' worth
    answers = [posted.post(json.dumps([n] * 5)) for n in range(3)]
    assert [answer.status_code for answer in answers] == [202, 503, 503]
    assert answers[1].headers["retry-after"] == "1"
    assert posted.records() == [0] * 5


def test_a_body_is_answered_503_while_the_input_is_held() -> None:
    receiver: HttpReceiver[Any] = HttpReceiver("127.0.0.1", 0, ms.Environment())
    feed = ReceiverFeed(receiver, ms.Environment(ManualClock(10.0)), full_timeout_s=0.01)
    feed.start(interval_ms=1_000, zero_ms=0, notify=lambda event: None)
    try:
        url = receiver.url(WAIT_S)
        feed.hold()
        assert httpx.post(url, content="[1]").status_code == 503
        feed.resume()
        assert httpx.post(url, content="[2]").status_code == 202
        assert [list(rows_of(block.data)) for block in feed.take(20_000)] == [[2]]
    finally:
        feed.close()


def test_a_body_that_is_under_way_at_a_stop_is_in_the_last_batch() -> None:
    batches = SimpleQueue[list[Any]]()
    with ms.StreamingContext(0.02) as ssc:
        stream = ssc.http_stream(format="lines")
        stream.collect_to(batches)
        ssc.start()
        url = httpx.URL(stream.url())
        address = url.host, url.port or 0
        with socket.create_connection(address, timeout=WAIT_S) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nto be")
            # Answered after the body has begun to be read: what was sent before it has arrived.
            assert httpx.get(url.join("/health")).status_code == 200
            stopping = threading.Thread(target=ssc.stop)
            stopping.start()
            with suppress(OSError):
                while True:  # until the server takes no more connections
                    socket.create_connection(address, timeout=WAIT_S).close()
            connection.sendall(b"\nor no")
            assert connection.recv(1_000).startswith(b"HTTP/1.1 202 ")
        stopping.join(WAIT_S)
    seen: list[Any] = []
    while not batches.empty():
        seen += batches.get()
    assert seen == ["to be", "or no"]


def test_a_port_that_is_taken_is_reported_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    heard, batches = Failures(), SimpleQueue[list[Any]]()
    with socket.create_server(("127.0.0.1", 0)) as other, ms.StreamingContext(0.02) as ssc:
        port = other.getsockname()[1]
        ssc.add_listener(heard)
        stream = ssc.http_stream(port=port)
        stream.collect_to(batches)
        ssc.start()
        text = heard.next()
        assert "the port is taken" in text
        assert f"127.0.0.1:{port}" in text
        with pytest.raises(SourceUnavailableError, match="does not listen yet"):
            stream.url(0.001)
        other.close()
        assert httpx.post(stream.url(WAIT_S), content="[7]").status_code == 202
        while not (records := batches.get(timeout=WAIT_S)):
            pass
    assert records == [7]


def test_what_was_answered_202_survives_a_crash_and_repeats_are_dropped(tmp_path: Path) -> None:
    seen: list[Any] = []

    @contextmanager
    def program() -> Iterator[tuple[Posted, ms.StreamingContext]]:
        clock = ManualClock(10.0 + 10.0 * len(seen))
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(1.0, name="orders", checkpoint=tmp_path, environment=environment)
        posted = Posted(ssc, clock, name="orders")
        try:
            yield posted, ssc
        finally:
            posted.client.close()
            seen.extend(record for batch in posted.batches for record in batch)

    with program() as (posted, ssc):
        for number in (1, 2):
            assert posted.post(f"[{number}]", millstream_position=f"till-7 {number}").status_code == 202
        assert posted.post("[100]", millstream_position="till-8 1").status_code == 202
        ssc.stop(graceful=False)
    assert seen == []
    with program() as (posted, ssc):
        for number in (1, 2, 3):
            assert posted.post(f"[{number}]", millstream_position=f"till-7 {number}").status_code == 202
        assert posted.post("[4]", millstream_position="till-7").status_code == 400
        ssc.stop()
    assert sorted(seen) == [1, 2, 3, 100]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate_file, key_file = tmp_path / "server.pem", tmp_path / "server.key"
    certificate_file.write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return certificate_file, key_file


def test_https_by_a_certificate(alone: Post, certificate: tuple[Path, Path]) -> None:
    posted = alone(certificate=certificate[0], key=certificate[1])
    assert posted.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    assert httpx.post(posted.url, content="[1]", verify=context).status_code == 202
    assert posted.records() == [1]


def test_a_certificate_that_cannot_work_is_refused_at_once(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    ssc = ms.StreamingContext(1.0)
    with pytest.raises(ConfigurationError, match=r"There is no file .*missing\.pem"):
        ssc.http_stream(certificate=tmp_path / "missing.pem")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ssc.http_stream(certificate=certificate[1], key=certificate[0])
    with pytest.raises(ConfigurationError, match="needs its certificate"):
        ssc.http_stream(key=certificate[1])


@pytest.mark.parametrize(
    "options",
    [
        {"port": 70_000},
        {"host": ""},
        {"path": "orders"},
        {"token": ""},
        {"token": f"{TOKEN}\n"},
        {"token": []},
        {"format": "xml"},
        {"max_body_bytes": 0},
        {"max_wait": 0},
    ],
)
def test_arguments_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ms.StreamingContext(1.0).http_stream(**options)
    assert TOKEN not in str(raised.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r'pip install "millstream\[http\]"'):
        ms.StreamingContext(1.0).http_stream()
