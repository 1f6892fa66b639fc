"""What a body holds: bytes become records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from millstream.errors import ConfigurationError, UserCodeError, shown
from millstream.sources.http.answer import RefusedError

LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")


class BodyDecoder(ABC):
    """Makes the records of one body."""

    operator: ClassVar[str] = "http_stream"

    def check_type(self, media_type: str) -> None:  # noqa: B027 - most bodies may be of any type
        """Refuse what cannot be decoded by its type, before it is read; the type is empty where none was given.

        Raises:
            RefusedError: 415.
        """

    @abstractmethod
    def records(self, body: bytes, media_type: str) -> list[Any]:
        """Give the records of a whole body.

        Raises:
            RefusedError: 400: it is broken, and where.
            UserCodeError: the program's own decoder failed.
        """


class JsonBody(BodyDecoder):
    r"""A JSON value; the elements of an array are records of their own. With a type of JSON lines, one in each line.

    Example:
        >>> JsonBody().records(b'[{"id": 1}, {"id": 2}]', "application/json")
        [{'id': 1}, {'id': 2}]
        >>> JsonBody().records(b'{"id": 1}\n\n{"id": 2}\n', "application/x-ndjson")
        [{'id': 1}, {'id': 2}]
    """

    def check_type(self, media_type: str) -> None:
        if not (media_type in ("", "application/json", *LINE_TYPES) or media_type.endswith("+json")):
            raise RefusedError(415, f"The body must be application/json or {LINE_TYPES[0]}, not {media_type}.")

    def records(self, body: bytes, media_type: str) -> list[Any]:
        if media_type not in LINE_TYPES:
            value = _json_value(body)
            return value if isinstance(value, list) else [value]
        return [
            _json_value(line, number) for number, line in enumerate(body.split(b"\n"), 1) if line and not line.isspace()
        ]


class LinesBody(BodyDecoder):
    r"""Lines of text in UTF-8, each a record; they end with LF or CR LF.

    Example:
        >>> LinesBody().records(b"to be\r\nor not\n", "text/plain")
        ['to be', 'or not']
    """

    def check_type(self, media_type: str) -> None:
        if not (media_type in ("", "application/octet-stream") or media_type.startswith("text/")):
            raise RefusedError(415, f"The body must be text/plain, not {media_type}.")

    def records(self, body: bytes, media_type: str) -> list[Any]:
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            raise _broken(f"The body is no UTF-8: {error.reason}.", line=line, byte=error.start) from error
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return lines if lines[-1] else lines[:-1]


class BytesBody(BodyDecoder):
    """Each body is one record, as bytes."""

    def records(self, body: bytes, media_type: str) -> list[Any]:
        return [body]


class OwnBody(BodyDecoder):
    """A function of the program makes the records.

    Args:
        decoder: gets the body, gives the records; raises ValueError to have the sender told that the body is bad.
    """

    def __init__(self, decoder: Callable[[bytes], Iterable[Any]]) -> None:
        self._decoder = decoder

    def records(self, body: bytes, media_type: str) -> list[Any]:
        try:
            return list(self._decoder(body))
        except ValueError as error:
            raise _broken(f"The body cannot be decoded: {error}") from error
        except Exception as error:
            raise UserCodeError(
                f"The decoder of an http_stream raised {type(error).__name__}: {error}",
                operator=self.operator,
                record=shown(body),
                detail=f"{getattr(self._decoder, '__qualname__', shown(self._decoder))}, for a body of {len(body)} "
                "bytes. The sender was answered 500, and nothing was stored.",
                hint="Raise ValueError for a body that is bad: the sender is answered 400 then.",
            ) from error


_FORMATS: dict[str, type[BodyDecoder]] = {"json": JsonBody, "lines": LinesBody, "bytes": BytesBody}


def body_decoder(format: str, decoder: Callable[[bytes], Iterable[Any]] | None) -> BodyDecoder:
    """Choose what makes records of bodies.

    Raises:
        ConfigurationError: nobody knows the format.
    """
    if decoder is not None:
        return OwnBody(decoder)
    if format not in _FORMATS:
        raise ConfigurationError(
            "An HTTP stream does not know this format.",
            detail=f"format={shown(format)}.",
            hint=f"Give one of {', '.join(map(repr, _FORMATS))}, or a decoder= of your own.",
        )
    return _FORMATS[format]()


def _json_value(text: bytes, line: int | None = None) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        said = str(error)
        if "truncated" in said:  # The only one that comes without a position.
            said = f"it ends too early (byte {len(text)})"
        if line is None:
            raise _broken(f"The body is no JSON: {said}.") from error
        raise _broken(f"Line {line} of the body is no JSON: {said}.", line=line) from error


def _broken(error: str, **position: int) -> RefusedError:
    return RefusedError(400, error, report="with a body that cannot be decoded", fields=position)
