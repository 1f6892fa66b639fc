"""The clients of this process that read ranges, kept between batches so that they go on fetching."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream._core import KafkaReader

READERS_MAX = 16
"""Clients of sources that are not closed, such as those of batch programs, are let go when there are so many newer."""

_readers: dict[str, KafkaReader] = {}
_ids: dict[str, dict[str, str]] = {}
"""By source and topic: the id of the topic that was read last."""

_lock = threading.Lock()


def reader_here(name: str) -> KafkaReader | None:
    """Give the client of a source, if something was read with it in this process."""
    return _readers.get(name)


def reader_of(name: str, options: Mapping[str, str]) -> KafkaReader:
    """Give the client of a source, made at its first use.

    Args:
        name: names the source, the same in every process.
        options: of the client.

    Raises:
        KafkaClientError: an option cannot work.
    """
    reader = _readers.get(name)
    if reader is None:
        from millstream._core import KafkaReader

        with _lock:
            reader = _readers.get(name)
            if reader is None:
                while len(_readers) >= READERS_MAX:
                    del _readers[next(iter(_readers))]
                reader = _readers[name] = KafkaReader(dict(options))
    return reader


def note_topic(name: str, topic: str, topic_id: str) -> None:
    """Say which topic is about to be read; where it was made anew, the client that knows the old one is let go.

    Why not only its topic: the library goes on for minutes with what it knows of a topic that it saw deleted.
    """
    known = _ids.setdefault(name, {})
    before = known.get(topic)
    if before is not None and before != topic_id:
        drop_reader(name)
        known = _ids.setdefault(name, {})
    known[topic] = topic_id


def drop_reader(name: str) -> None:
    """Let the client of a source go, in this process."""
    with _lock:
        _readers.pop(name, None)
        _ids.pop(name, None)
