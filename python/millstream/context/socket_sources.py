"""Methods of the streaming context that make streams of what a TCP server sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Literal, TypeVar

from millstream.context.source_core import SourceCore
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
from millstream.stream.core import labelled
from millstream.stream.dstream import DStream

T = TypeVar("T")


class SocketSourceMethods(SourceCore):
    """Methods that make streams of what a TCP server sends.

    The connection is made again, for ever and with growing pauses, when it breaks.
    """

    def socket_text_stream(
        self,
        host: str,
        port: int,
        *,
        on_invalid: Literal["replace", "skip", "fail"] = "replace",
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[str]:
        """Make a stream of the lines that a TCP server sends, in UTF-8.

        Lines end with LF, CR LF or CR. The connection is made again, for ever and with growing pauses, when it
        breaks. Reading and cutting lines happens outside Python.

        Args:
            host: name or address of the server.
            port: its port, 1 to 65535.
            on_invalid: what happens to a line that is not UTF-8: `replace` bad bytes by U+FFFD, `skip` the line,
                or `fail` the stream. Listeners get their number with each batch, as `event.invalid`.
            max_records_per_s: most lines a second; None: no limit.
            name: identity of the input.
        """
        from millstream.sources.socket_text import SocketTextFeed

        feed = SocketTextFeed(host, port, on_invalid=on_invalid, rate_per_s=max_records_per_s)
        return self._stream(feed, labelled("socket_text_stream", name=name))

    def socket_stream(
        self,
        host: str,
        port: int,
        decoder: Callable[[BinaryIO], Iterable[T]],
        *,
        process: bool = False,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[T]:
        """Make a stream of the records that your decoder finds in what a TCP server sends.

        Args:
            host: name or address of the server.
            port: its port, 1 to 65535.
            decoder: given a binary stream, such as `open(path, "rb")` gives, returns the records: a generator,
                usually. Called for each connection; when it returns or raises, the connection is made again. What
                it raises is reported to listeners.
            process: run it in a process of its own, so that its work cannot hold up batches.
            max_records_per_s: most records a second; None: no limit.
            name: identity of the input.

        Raises:
            ConfigurationError: host, port or limit cannot work.
            ArgumentTypeError: the decoder is no function of one argument.

        Example:
            >>> import millstream as ms
            >>> def pairs(stream):
            ...     while len(pair := stream.read(2)) == 2:
            ...         yield pair
            >>> ssc = ms.StreamingContext(1.0)
            >>> numbers = ssc.socket_stream("localhost", 9999, pairs).map(lambda pair: int.from_bytes(pair))
        """
        from millstream.sources.socket_receiver import SocketReceiver

        at = labelled("socket_stream", name=name)
        check_function(decoder, at.operator, "decoder", takes=1)
        return self._received(SocketReceiver(host, port, decoder), at, process, max_records_per_s)

    def raw_socket_stream(
        self,
        host: str,
        port: int,
        *,
        max_frame_bytes: int = 16_777_216,
        process: bool = False,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[bytes]:
        """Make a stream of the frames that a TCP server sends, as bytes: a length, then so many bytes.

        A length is 4 bytes, big-endian, signed. One that is negative or above the limit, and a connection that ends
        in the middle of a frame, are reported to listeners, and the connection is made again.

        Args:
            host: name or address of the server.
            port: its port, 1 to 65535.
            max_frame_bytes: the longest frame that is taken, 1 to 2147483647.
            process: run it in a process of its own, so that its work cannot hold up batches.
            max_records_per_s: most records a second; None: no limit.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work.
        """
        from millstream.sources.frame_decoder import FrameDecoder
        from millstream.sources.socket_receiver import SocketReceiver

        receiver = SocketReceiver(host, port, FrameDecoder(max_frame_bytes))
        return self._received(receiver, labelled("raw_socket_stream", name=name), process, max_records_per_s)

    def _received(self, receiver: Any, at: Label, process: bool, rate_per_s: float | None) -> DStream[Any]:
        from millstream.ingest.receiver_feed import ReceiverFeed

        feed = ReceiverFeed(receiver, self._environment, process=process, rate_per_s=rate_per_s)
        return self._stream(feed, at)
