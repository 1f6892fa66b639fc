"""The secrets that senders show, and the check of them."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from millstream.errors import ConfigurationError
from millstream.sources.http.answer import RefusedError

CHALLENGE = {"www-authenticate": "Bearer"}


class BearerTokens:
    """The tokens of which each request has to show one, as `Authorization: Bearer TOKEN`.

    Args:
        tokens: one, or several while an old one is replaced; None: every request is taken.

    Raises:
        ConfigurationError: a token is empty, no text, or has characters that a header cannot carry.

    Example:
        >>> tokens = BearerTokens("s3cret")
        >>> tokens.check(b"Bearer s3cret"), tokens
        (None, <1 token>)
    """

    def __init__(self, tokens: str | Iterable[str] | None) -> None:
        given: list[Any] = [] if tokens is None else [tokens] if isinstance(tokens, str) else list(tokens)
        # Why not shown in the error: it may be the secret with a line end behind it.
        if tokens is not None and (not given or not all(_is_token(token) for token in given)):
            raise ConfigurationError(
                "A token cannot work.",
                detail="It must be text of visible ASCII characters without spaces, and not be empty.",
                hint="Give token= one such text, or a list; strip the line end of one that was read from a file.",
            )
        self._tokens = [token.encode() for token in given]

    @property
    def needed(self) -> bool:
        """Whether a request has to show one."""
        return bool(self._tokens)

    def check(self, authorization: bytes | None) -> None:
        """Refuse a request whose header shows none of the tokens; how long that takes tells nothing about them.

        Raises:
            RefusedError: 401.
        """
        if not self._tokens:
            return
        if authorization is None:
            raise RefusedError(401, "The request shows no token.", report="without a token", headers=CHALLENGE)
        scheme, _, shown = authorization.partition(b" ")
        # Why all of them: to stop at the first that fits would tell which one it is.
        fits = [hmac.compare_digest(shown.strip(), token) for token in self._tokens]
        if scheme.lower() != b"bearer" or not any(fits):
            raise RefusedError(401, "The token is not known here.", report="with a wrong token", headers=CHALLENGE)

    def __repr__(self) -> str:
        return f"<{len(self._tokens)} token{'' if len(self._tokens) == 1 else 's'}>"


def _is_token(token: Any) -> bool:
    return isinstance(token, str) and token != "" and all("!" <= character <= "~" for character in token)
