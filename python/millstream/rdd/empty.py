"""Actions that have no answer for an RDD without records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from millstream.errors import ConfigurationError
from millstream.model.label import Label

T = TypeVar("T")


def refuse_empty(records: Sequence[T], at: Label) -> T:
    """Give the first record of what an action found.

    Raises:
        ConfigurationError: it found none.
    """
    if records:
        return records[0]
    raise ConfigurationError(
        f"{at.operator} needs at least one record.",
        detail=f"The RDD is empty; {at.operator} was called at {at.site}.",
        hint="Ask rdd.is_empty() first, or use fold(), which starts from a value.",
    )
