from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.encoding.rows import pack, pack_frames, unpack, unpack_frames
from millstream.errors import ShippingError

rows = st.lists(st.tuples(st.one_of(st.text(), st.integers()), st.one_of(st.none(), st.floats(allow_nan=False))))


@dataclass
class Event:
    name: str
    value: Any


@given(rows)
def test_rows_come_back(value: list[Any]) -> None:
    assert unpack(pack(value)) == value
    assert unpack_frames(pack_frames(value)) == value


def test_instances_of_importable_classes_come_back() -> None:
    assert unpack(pack([Event("a", [1])])) == [Event("a", [1])]


def test_functions_and_local_classes_come_back() -> None:
    @dataclass
    class Local:
        x: int

    f, local = unpack(pack((lambda x: x + 1, Local(3))))
    assert f(1) == 2
    assert type(local) is Local


def test_large_buffers_travel_beside_the_pickle() -> None:
    array, table = np.arange(10_000), pa.table({"a": np.arange(10_000)})
    frames = pack_frames([array, table, np.arange(3)])
    assert len(frames) == 3
    assert len(frames[0]) < 2_000
    assert np.shares_memory(np.frombuffer(frames[1], dtype=array.dtype), array)
    back_array, back_table, _ = unpack_frames([bytes(frame) for frame in frames])
    assert (back_array == array).all()
    assert back_table.equals(table)


def test_buffers_that_are_not_contiguous_stay_inside() -> None:
    array = np.arange(40_000).reshape(200, 200)[::2, ::2]
    (frame,) = [bytes(frame) for frame in pack_frames(array.T)][:1]
    assert (unpack_frames([frame, *pack_frames(array.T)[1:]]) == array.T).all()


@pytest.mark.parametrize("kind", ["table", "batch", "empty"])
def test_a_slice_takes_the_room_of_what_it_shows(kind: str) -> None:
    table = pa.table({"a": np.arange(1_000_000), "b": np.arange(1_000_000).astype(str)})
    part = table.slice(5, 0 if kind == "empty" else 10)
    if kind == "batch":
        part = part.to_batches()[0]
    data = pack(part)
    assert len(data) < 10_000
    assert unpack(data).equals(part)
    assert type(unpack(data)) is type(part)


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(ShippingError, match=r"the item `\[0\]\.value\['lock'\]` \(a _thread\.lock\)") as caught:
        pack([Event("a", {"lock": threading.Lock()})])
    assert caught.value.hint is not None


def test_what_cannot_be_loaded_is_said() -> None:
    data = pack([Event("a", 1)]).replace(b"Event", b"Enevt")
    with pytest.raises(ShippingError, match="Enevt"):
        unpack(data)


PROGRAM = """
import subprocess, sys
from dataclasses import dataclass
from enum import Enum
from millstream.encoding.rows import pack, unpack

SCALE = 3

class Colour(Enum):
    RED = 1

class Other:
    pass

@dataclass
class Reading:
    value: int
    colour: Colour
    def scaled(self):
        return self.value * SCALE
    def other(self):
        return Other()

WORKER = '''
import sys
from millstream.encoding.rows import pack, unpack
while True:
    size = sys.stdin.buffer.read(8)
    if not size:
        break
    rows = unpack(sys.stdin.buffer.read(int.from_bytes(size, "big")))
    out = pack([rows, [row.scaled() for row in rows], [row.other() for row in rows]])
    sys.stdout.buffer.write(len(out).to_bytes(8, "big") + out)
    sys.stdout.buffer.flush()
'''

worker = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sizes = []
method = Reading.scaled
for turn in range(3):
    data = pack([Reading(turn, Colour.RED)] * 2)
    sizes.append(len(data))
    worker.stdin.write(len(data).to_bytes(8, "big") + data)
    worker.stdin.flush()
    rows, scaled, others = unpack(worker.stdout.read(int.from_bytes(worker.stdout.read(8), "big")))
    assert type(rows[0]) is Reading and rows[0] == Reading(turn, Colour.RED), rows
    assert rows[0].colour is Colour.RED
    assert type(others[0]) is Other
    assert scaled == [turn * 3] * 2
# Rows that came home left the program's own class alone.
assert Reading.scaled is method
SCALE = 5
assert Reading(2, Colour.RED).scaled() == 10
worker.stdin.close()
assert worker.wait() == 0
print("went well")
"""


def test_classes_of_main_go_to_another_process_and_come_home() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("went well", 0), done.stderr
