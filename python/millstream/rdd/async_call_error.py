"""The failure of a call that was awaited, on its way to the stage, which knows operator and batch."""

from __future__ import annotations


class AsyncCallError(Exception):
    """A call failed for good. Its cause is what the function raised, if it did.

    Args:
        record: what the function was given.
        problem: what happened, to follow "The function of map_async"; None: it raised the cause.
        hint: what the reader can do; None: as for any function that raised.
        retries: how often the call was tried again.
        is_type: the function is of a kind that cannot work.
    """

    def __init__(
        self,
        record: object,
        problem: str | None = None,
        hint: str | None = None,
        *,
        retries: int = 0,
        is_type: bool = False,
    ) -> None:
        super().__init__(problem)
        self.record = record
        self.problem = problem
        self.hint = hint
        self.retries = retries
        self.is_type = is_type
