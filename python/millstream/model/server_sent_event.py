"""The record of streams of server-sent events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event that a service sent.

    Attributes:
        event: its type; `message` where the service gives none.
        data: its text.
        id: the newest id that the service has given, with this event or one before it; empty where there is none.
    """

    event: str
    data: str
    id: str = ""
