"""A codec that is sent to another process knows there what the program taught it."""

from __future__ import annotations

import subprocess
import sys

import cloudpickle

from millstream.encoding.codec import Codec
from millstream.encoding.registered_types import register_type

PROGRAM = """
import pickle, sys
codec, value = pickle.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(codec.encode([value, codec.decode(codec.encode(value))]))
"""


class Grams:
    def __init__(self, number: int) -> None:
        self.number = number


def test_registered_types_go_along() -> None:
    # By value, as everything of a program's own file goes to its workers.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        register_type(Grams, name="test-grams", encode=lambda grams: grams.number, decode=Grams)
        sent = cloudpickle.dumps((Codec(), Grams(5)))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    written = subprocess.run([sys.executable, "-c", PROGRAM], input=sent, capture_output=True, check=True).stdout
    assert [grams.number for grams in Codec().decode(written)] == [5, 5]
