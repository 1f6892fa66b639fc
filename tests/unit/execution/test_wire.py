from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.execution.wire import Wire, WireClosedError


@pytest.fixture
def wires() -> Iterator[tuple[Wire, Wire]]:
    here, there = (Wire(end) for end in socket.socketpair())
    yield here, there
    here.close()
    there.close()


def sent(sender: Wire, *messages: list[bytes]) -> threading.Thread:
    """Send from another thread, for the kernel takes only so much."""
    return started(lambda: [sender.send(message) for message in messages])  # type: ignore[func-returns-value]


def started(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def received(wire: Wire) -> list[bytes]:
    return [bytes(part) for part in wire.receive()]


@given(st.lists(st.lists(st.binary(max_size=100), min_size=1, max_size=6), min_size=1, max_size=5))
def test_messages_come_whole_and_in_order(messages: list[list[bytes]]) -> None:
    here, there = (Wire(end) for end in socket.socketpair())
    thread = sent(here, *messages)
    assert [received(there) for _ in messages] == messages
    thread.join()
    here.close()
    there.close()


@pytest.mark.parametrize("parts", [[b"a" * 50_000_000], [b"x" * 5_000] * 3_000, [b"x" * n for n in range(2_000)]])
def test_large_messages(wires: tuple[Wire, Wire], parts: list[bytes]) -> None:
    thread = sent(wires[0], parts, [b"next"])
    assert received(wires[1]) == parts
    assert received(wires[1]) == [b"next"]
    thread.join()


def test_large_messages_while_little_fits(wires: tuple[Wire, Wire]) -> None:
    here = wires[0]
    with socket.socket(fileno=here.fileno()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        connection.detach()
    parts = [bytes([n % 256]) * (n * 37 % 4_000) for n in range(1_500)]
    thread = sent(here, parts)
    assert received(wires[1]) == parts
    thread.join()


def test_parts_can_be_written_into_and_are_aligned(wires: tuple[Wire, Wire]) -> None:
    wires[0].send([b"abc", b"d" * 5, b"e" * 40])
    parts = wires[1].receive()
    whole = parts[0].obj
    assert isinstance(whole, bytearray)
    parts[1][0] = 0
    starts = [whole.find(letter) for letter in (b"abc", b"\0dddd", b"eeee")]
    assert all(start % 16 == 0 for start in starts)


def test_the_end_of_the_other_side(wires: tuple[Wire, Wire]) -> None:
    here, there = wires
    here.send([b"last"])
    here.close()
    assert received(there) == [b"last"]
    assert there.has_message()
    with pytest.raises(WireClosedError):
        there.receive()
    with pytest.raises(WireClosedError):
        there.send([b"anybody?"])


@pytest.mark.parametrize("cut", [1, 8, 12, 30, 100_000])
def test_the_end_in_the_midst_of_a_message(cut: int) -> None:
    ours, between = socket.socketpair()
    relayed, theirs = socket.socketpair()
    sender, receiver = Wire(ours), Wire(theirs)
    thread = sent(sender, [b"x" * 20, b"y" * 200_000])
    read = b""
    while len(read) < cut:
        read += between.recv(cut - len(read))

    def feed() -> None:
        relayed.sendall(read)
        relayed.close()

    feeder = started(feed)
    with pytest.raises(WireClosedError):
        receiver.receive()

    def drain() -> None:
        while between.recv(1 << 20):
            pass

    drainer = started(drain)
    thread.join()
    sender.close()
    for helping in (feeder, drainer):
        helping.join()
    receiver.close()
    between.close()


def test_waiting_has_a_limit(wires: tuple[Wire, Wire]) -> None:
    assert not wires[0].has_message()
    assert not wires[0].has_message(1)
    wires[1].send([b"now"])
    assert wires[0].has_message(10_000)
