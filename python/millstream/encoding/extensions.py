"""Codes of the extension types of MessagePack that checkpoints use, as docs/checkpoint-format.md lists them.

A code is never used for anything else again. The core reads and writes LIST to SURROGATES and the layout of RECORD and
NAMED_TUPLE itself (`crates/python/src/codec.rs`).
"""

from typing import Final

LIST: Final = 1
SET: Final = 2
FROZENSET: Final = 3
BYTEARRAY: Final = 4
INT: Final = 5
SURROGATES: Final = 6

RECORD: Final = 10
NAMED_TUPLE: Final = 11
MEMBER: Final = 12
REGISTERED: Final = 13

DATETIME: Final = 20
DATE: Final = 21
TIME: Final = 22
TIMEDELTA: Final = 23

DECIMAL: Final = 30
FRACTION: Final = 31
COMPLEX: Final = 32
UUID: Final = 33

DEQUE: Final = 40
COUNTER: Final = 41
ORDERED_DICT: Final = 42
DEFAULTDICT: Final = 43

NUMPY_ARRAY: Final = 50
NUMPY_SCALAR: Final = 51

ARROW_TABLE: Final = 60
ARROW_RECORD_BATCH: Final = 61
ARROW_ARRAY: Final = 62
ARROW_CHUNKED_ARRAY: Final = 63
ARROW_SCALAR: Final = 64

PICKLE: Final = 100
