"""Messages written exactly once: one transaction a batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from millstream.environment.logger import logger
from millstream.errors import FencedError, MillstreamError, SinkUnavailableError
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka.connection_log import ConnectionLog
from millstream.sinks.kafka.control_topic import Commit, ControlTopic
from millstream.sinks.kafka.topics import Topics, wait_for_brokers
from millstream.sinks.kafka.write_errors import message_error, write_error

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaClientError, KafkaProducer

RENEWALS = 3
"""How often one step makes a new producer, when somebody fences the one before."""

OPENINGS = 2
"""How often opening is tried while brokers come and go."""

CLAIM_TIMEOUT_S = 1.0
"""How long a driver that was fenced looks for another one before it makes a new producer."""

COMMIT_CALLS = 3
"""How often a commit whose outcome is not known is repeated on its producer; together they take the write timeout."""


class _RenewError(Exception):
    """The producer can do nothing more, and nothing is known of its transaction."""


class TransactionalWriter:
    """Writes each batch in one transaction that has one record of the control topic in it.

    Before a producer writes, it has ended the transactions of those before it, and read the control topic up to its
    end: so it knows which batch is the newest, and whoever wrote after that is fenced, or has fenced it.

    Args:
        options: how the brokers are spoken to.
        lineage: whose transactions these are.
        topic: of the messages that do not name theirs, or None where all do.
        partitioner: the client library's name of what chooses partitions.
        control: says which batch is the newest.
        transaction_prefix: what transactional ids begin with.
        transaction_timeout_s: after which brokers abort a transaction, seconds.
        write_timeout_s: how long a commit may take, seconds.
        start_timeout_s: how long brokers may take to answer a question, seconds.

    Attributes:
        newest_ms: the newest committed batch, or None.
    """

    def __init__(
        self,
        options: ClientOptions,
        lineage: SinkLineage,
        topic: str | None,
        partitioner: str,
        control: ControlTopic,
        *,
        transaction_prefix: str,
        transaction_timeout_s: float,
        write_timeout_s: float,
        start_timeout_s: float,
    ) -> None:
        self._options = options
        self._lineage = lineage
        self._topic = topic
        self._partitioner = partitioner
        self._control = control
        self._transactional_id = f"{transaction_prefix}-{lineage.key}"
        self._transaction_timeout_s = transaction_timeout_s
        self._write_timeout_s = write_timeout_s
        self._start_timeout_s = start_timeout_s
        self._topics = Topics(options, start_timeout_s)
        self._log = ConnectionLog(options)
        self._producer: KafkaProducer | None = None
        self._cluster_id = ""
        self._is_open = False
        self.newest_ms: int | None = None

    def open(self) -> int | None:
        """Fence the producers of earlier drivers, find the newest committed batch, and leave the epoch of this driver.

        Raises:
            FencedError: a newer driver writes this output.
            IncompatibleCheckpointError: the control topic was lost.
            ConfigurationError: topics or rights are missing.
            SinkUnavailableError: the brokers did not answer in time.
        """
        for left in reversed(range(OPENINGS)):
            try:
                self._open()
                break
            except SinkUnavailableError:
                # A broker that goes away in the middle is waited for by the next attempt.
                if not left:
                    raise
        return self.newest_ms

    def _open(self) -> None:
        from millstream._core import KafkaClientError

        producer = self._made(self._transactional_id)
        wait_for_brokers(producer, self._options, self._start_timeout_s)
        if self._topic is not None:
            self._topics.check(producer, [self._topic])
        try:
            self._cluster_id = producer.cluster_id(self._start_timeout_s)
        except KafkaClientError as error:
            raise write_error(error, "Kafka could not be asked for its cluster.", self._options) from error
        self._control.make(producer)
        self._renewed(self._claim)

    def note(self) -> dict[str, Any]:
        """Give what later drivers have to know of this output."""
        return {
            "kafka_cluster": self._cluster_id,
            "servers": self._options.servers,
            "transactional_id": self._transactional_id,
            "control_topic": self._control.name,
        }

    def write(self, time_ms: int, tables: Sequence[pa.Table]) -> None:
        """Write a batch, unless it was committed before.

        Raises:
            FencedError: a newer driver writes this output.
            DataError: the brokers refuse a message; nothing of the batch is seen.
            SinkUnavailableError: the batch is not committed, or that is not known; calling again settles it.
        """
        self._renewed(lambda: self._write(time_ms, tables))

    def close(self) -> None:
        """Let go of the producer."""
        self._producer = None

    def _renewed(self, step: Any) -> None:
        """Do a step, with new producers where one is fenced."""
        for _ in range(RENEWALS):
            try:
                if self._producer is None:
                    self._take_over()
                step()
                return
            except _RenewError as error:
                # Fenced: by a newer driver, which the control topic tells; or by the brokers, after a timeout.
                self._producer = None
                reason: BaseException = error
        raise SinkUnavailableError(
            "Kafka fences one producer of this output after the other.",
            detail=f"Transactional id {self._transactional_id}: {reason}.",
            hint="Look for another program that uses this id, and whether batches take longer to write than "
            f"transaction_timeout={self._transaction_timeout_s:g}; the batch is tried again.",
        ) from reason.__cause__

    def _take_over(self) -> None:
        """Make a producer, have earlier transactions end, and find out what they came to."""
        producer = self._made(self._transactional_id)
        if self._is_open:
            # A driver that lost its claim fences nobody: it looks first, as far as it can without ending transactions.
            with suppress(SinkUnavailableError):
                self._check_claim(self._control.newest(producer, CLAIM_TIMEOUT_S))
        self._init(producer)
        commit = self._control.newest(producer, self._start_timeout_s)
        self._check_claim(commit)
        self.newest_ms = None if commit is None else commit.time_ms
        self._producer = producer

    def _check_claim(self, commit: Commit | None) -> None:
        if commit is not None and commit.epoch > self._lineage.epoch:
            raise FencedError(
                "Another driver writes this output.",
                detail=f"The control topic {self._control.name} has epoch {commit.epoch}, this driver has "
                f"{self._lineage.epoch}.",
                hint="Stop this one.",
            )

    def _claim(self) -> None:
        self._transact(self.newest_ms, [])
        self._is_open = True

    def _write(self, time_ms: int, tables: Sequence[pa.Table]) -> None:
        if self.newest_ms is not None and time_ms <= self.newest_ms:
            return
        assert self._producer is not None
        self._topics.check_of(self._producer, tables)
        self._transact(time_ms, tables)
        self.newest_ms = time_ms

    def _transact(self, time_ms: int | None, tables: Sequence[pa.Table]) -> None:
        """Write messages and what the control topic says of them, and commit."""
        from millstream._core import KafkaClientError

        producer = self._producer
        assert producer is not None
        producer.begin()
        wrote = False
        try:
            producer.begin_transaction()
            for table in tables:
                producer.send(self._topic or "", table, self._write_timeout_s)
            producer.send(self._control.name, self._control.message(time_ms), self._write_timeout_s)
            # What the client itself refuses, such as a record that is too large, it would leave out of the transaction.
            if producer.failure is None:
                self._commit(producer)
                wrote = True
                return
        except KafkaClientError as error:
            if getattr(error, "next", "abort" if error.kind == "unavailable" else "renew") == "abort":
                raise self._aborted(producer, tables, error) from error
            raise self._ended(error) from error
        finally:
            self._log.tell(producer, wrote=wrote)
        raise self._aborted(producer, tables, None)

    def _commit(self, producer: KafkaProducer) -> None:
        """Commit; an unknown outcome is settled by repeating the call on the same producer, while that may help."""
        from millstream._core import KafkaClientError

        for left in reversed(range(COMMIT_CALLS)):
            try:
                producer.commit_transaction(self._write_timeout_s / COMMIT_CALLS)
                return
            except KafkaClientError as error:
                if error.next != "retry":
                    raise
                if not left:
                    # The next call makes a new producer, which has this transaction end and reads what it came to.
                    self._producer = None
                    raise SinkUnavailableError(
                        "Whether Kafka committed a batch is not known yet.",
                        detail=f"{error} Brokers: {self._options.servers}.",
                        hint="Look at the brokers and the way to them; the engine asks again.",
                    ) from error

    def _aborted(
        self, producer: KafkaProducer, tables: Sequence[pa.Table], error: KafkaClientError | None
    ) -> MillstreamError:
        """Abort the transaction, and give the error that says why."""
        from millstream._core import KafkaClientError

        failure = producer.failure
        # Why a new producer comes next: the numbers of records that failed are missing in the sequence of this one.
        self._producer = None
        try:
            producer.abort_transaction(self._write_timeout_s)
        except KafkaClientError as refused:
            logger.info("A transaction of Kafka could not be aborted, a new producer will: %s", refused)
        if failure is not None and (failure[0] != "other" or error is None):
            return message_error(failure, [*tables, self._control.message(None)], self._options)
        assert error is not None  # Invariant: there is no abort without one of the two.
        topics = self._topic or "several topics"
        what = f"Kafka aborted a transaction that writes {topics} and {self._control.name}."
        return write_error(error, what, self._options)

    def _ended(self, error: KafkaClientError) -> Exception:
        """Give the error for a producer that can do nothing more."""
        self._producer = None
        if error.kind in ("invalid", "authentication", "authorization"):
            return write_error(error, "Kafka could not be written.", self._options)
        return _RenewError(str(error))

    def _made(self, transactional_id: str) -> KafkaProducer:
        from millstream._core import KafkaClientError, KafkaProducer

        try:
            return KafkaProducer(
                self._options.for_transactions(self._partitioner, transactional_id, self._transaction_timeout_s)
            )
        except KafkaClientError as error:
            raise write_error(error, "Kafka could not be written.", self._options) from error

    def _init(self, producer: KafkaProducer) -> None:
        from millstream._core import KafkaClientError

        try:
            producer.init_transactions(self._start_timeout_s)
        except KafkaClientError as error:
            if error.next == "renew" and error.kind == "other":
                raise _RenewError(str(error)) from error
            raise write_error(error, "Kafka did not begin transactions.", self._options) from error
