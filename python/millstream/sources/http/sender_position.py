"""Where a sender stands: what makes a request that comes twice count once."""

from __future__ import annotations

from millstream.sources.http.answer import RefusedError

POSITION_HEADER = b"millstream-position"
NUMBER_MAX = 2**63 - 1
SENDER_CHARACTERS = 200


def sender_position(header: bytes | None) -> dict[str, int] | None:
    """Read the header `Millstream-Position: SENDER NUMBER`, or give None where there is none.

    Raises:
        RefusedError: 400: it is written in another way.

    Example:
        >>> sender_position(b"till-7 42")
        {'till-7': 42}
    """
    if header is None:
        return None
    sender, _, number = header.decode("latin-1").strip().partition(" ")
    if (
        not sender
        or len(sender) > SENDER_CHARACTERS
        or not (number.isascii() and number.isdigit() and len(number) < 20)
        or int(number) > NUMBER_MAX
    ):
        raise RefusedError(
            400,
            "Millstream-Position must be the name of the sender, a space, and a whole number below 2**63 that grows "
            "with each of its requests.",
        )
    return {sender: int(number)}
