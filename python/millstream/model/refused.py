"""A record that a function of the program refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Refused(Generic[T_co]):
    """A record that a function refused, and why.

    Attributes:
        record: as the function got it.
        error: type and text of what it raised, cut to 1,000 characters.
        operator: name of the operator, or the method that added it.
        batch_time_ms: the batch, milliseconds since the Unix epoch.
    """

    record: T_co
    error: str
    operator: str
    batch_time_ms: int
