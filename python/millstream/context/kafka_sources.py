"""Methods of the streaming context that make streams of Kafka's records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from millstream.context.source_core import SourceCore
from millstream.stream.core import labelled
from millstream.stream.dstream import DStream

if TYPE_CHECKING:
    from millstream._core import KafkaRecord
    from millstream.sources.kafka.decoding import Decoder
    from millstream.sources.kafka.group.group_member import GroupStart
    from millstream.sources.kafka.start import Start


class KafkaSourceMethods(SourceCore):
    """Methods that make streams of Kafka's records."""

    def kafka_stream(
        self,
        servers: str | Iterable[str],
        *,
        topics: str | Iterable[str] | None = None,
        pattern: str | re.Pattern[str] | None = None,
        partitions: Iterable[tuple[str, int]] | None = None,
        start: Start = "latest",
        isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
        group_id: str | None = None,
        max_records_per_batch: int | None = 500_000,
        min_records_per_partition: int | None = None,
        max_records_per_partition: int | None = None,
        max_records_per_task: int | None = None,
        key_decoder: Decoder = "bytes",
        value_decoder: Decoder = "bytes",
        on_undecodable: Literal["fail", "skip", "dead_letter"] = "fail",
        dead_letters: str | None = None,
        on_offset_out_of_range: Literal["fail", "earliest", "latest"] = "fail",
        on_topic_change: Literal["fail", "restart"] = "fail",
        refresh: float = 5.0,
        start_timeout: float = 10.0,
        read_timeout: float = 60.0,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> DStream[KafkaRecord]:
        """Make a stream of the records of Kafka topics.

        Each batch takes a range of offsets of each Kafka partition, read directly from the brokers by the task that
        needs it; nothing is stored a second time. Records have `key`, `value`, `topic`, `partition`, `offset`,
        `timestamp_ms` and `headers`; within one Kafka partition they keep their order. They stay in Arrow columns
        until a Python function asks for them.

        Args:
            servers: `host:port` of brokers, several with commas between or in a list.
            topics: names of topics. Partitions that are added later are read too, from their first record.
            pattern: instead, a regular expression for whole names of topics; those that are made later are read too.
            partitions: instead, pairs of topic and number of the Kafka partition.
            start: where the stream begins at its very first start: `latest` (what is written from now on),
                `earliest`, `committed` (by the group), an aware datetime (the first records as late), or an offset for
                each partition, `{0: 17, 1: 4}`, with several topics `{("lines", 0): 17}`.
            isolation: `read_committed` waits for the end of transactions and leaves out those that were aborted;
                `read_uncommitted` reads everything.
            group_id: a group to which the offsets of each finished batch are committed, for monitors outside; and
                the one of `start="committed"`. Where a stream goes on is never taken from it.
            max_records_per_batch: most offsets a batch, shared among partitions in proportion to what waits; None: no
                limit, and the first batch may hold all that the topics have.
            min_records_per_partition: what a partition gives at least, as far as it is there, when more waits than a
                batch takes.
            max_records_per_partition: what a partition gives at most.
            max_records_per_task: longer ranges are cut, and read by several tasks.
            key_decoder: what keys become: `bytes` as they are, `utf8` text, `json` what the JSON says, or what your
                function makes of the bytes; `AvroDecoder`, `ProtobufDecoder` and `SchemaRegistryDecoder` are such
                functions. Null stays None.
            value_decoder: what values become, likewise.
            on_undecodable: what happens to a record whose key or value cannot be decoded: `fail` stops the stream with
                an error that names it; `skip` goes on without it, with a warning; `dead_letter` writes it to a topic as
                it was. Listeners get the number with each batch, as `event.invalid`.
            dead_letters: that topic, which must be there. Headers say where a record comes from and what was wrong
                (`millstream.topic`, `.partition`, `.offset`, `.timestamp_ms`, `.error`); a batch that is run again
                writes it again.
            on_offset_out_of_range: what happens when the offset that comes next is gone (retention) or not there yet
                (a log that was cut): `fail` stops the stream; `earliest` and `latest` go on at the first offset or
                at the end, and listeners hear of the loss.
            on_topic_change: what happens when a topic is deleted or made anew: `fail` stops the stream; `restart` reads
                the new topic from its beginning, and listeners hear of it.
            refresh: how often topics and partitions are looked up, seconds.
            start_timeout: how long the brokers may take to answer at the start, seconds.
            read_timeout: how long a range may take, seconds; then the batch is tried again.
            options: of the client library (librdkafka), such as `security.protocol` or `sasl.password`; what is secret
                is never shown, logged or stored.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work. Whether topics are there is checked at the start.

        Example:
            >>> import millstream as ms
            >>> ssc = ms.StreamingContext(1.0)
            >>> lines = ssc.kafka_stream("localhost:9092", topics=["lines"]).map(lambda r: r.value.decode())
        """
        from millstream.sources.kafka.kafka_source import KafkaSource

        source = KafkaSource(
            servers,
            topics=topics,
            pattern=pattern,
            partitions=partitions,
            start=start,
            isolation=isolation,
            group_id=group_id,
            min_records_per_partition=min_records_per_partition,
            max_records_per_partition=max_records_per_partition,
            max_records_per_task=max_records_per_task,
            key_decoder=key_decoder,
            value_decoder=value_decoder,
            on_undecodable=on_undecodable,
            dead_letters=dead_letters,
            on_offset_out_of_range=on_offset_out_of_range,
            on_topic_change=on_topic_change,
            refresh=refresh,
            start_timeout=start_timeout,
            read_timeout=read_timeout,
            options=options,
        )
        at = labelled("kafka_stream", name=name)
        return self._stream(source, at, max_records_per_batch, limit_name="max_records_per_batch")

    def kafka_group_stream(
        self,
        servers: str | Iterable[str],
        *,
        group_id: str,
        topics: str | Iterable[str] | None = None,
        pattern: str | re.Pattern[str] | None = None,
        start: GroupStart = "latest",
        isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
        key_decoder: Decoder = "bytes",
        value_decoder: Decoder = "bytes",
        on_undecodable: Literal["fail", "skip", "dead_letter"] = "fail",
        dead_letters: str | None = None,
        on_offset_out_of_range: Literal["fail", "earliest", "latest"] = "fail",
        max_records_per_s: float | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> DStream[KafkaRecord]:
        """Make a stream of the records that a consumer group gives to this program.

        The program is one member of the group: which Kafka partitions it reads is the group's to say, and changes when
        members come and go. A thread of the driver receives; with a checkpoint a block of records is durable before its
        offsets are committed to the group. A program that is started again from its checkpoint has each record once;
        when a partition moves to a member with another checkpoint, what the old one had stored and not yet committed
        comes to both. Without a checkpoint, what waits in memory when the process dies is lost.

        Where one program reads a topic alone, `kafka_stream` is better: nothing is stored a second time, and workers
        read side by side.

        Args:
            servers: `host:port` of brokers, several with commas between or in a list.
            group_id: the group.
            topics: names of topics.
            pattern: instead, a regular expression (POSIX, extended) for whole names of topics; those that are made
                later are read too.
            start: where a partition begins of which nothing was stored or committed: `latest` or `earliest`. Once the
                program has stored records, partitions and topics that are added begin with their first one.
            isolation: `read_committed` waits for the end of transactions and leaves out those that were aborted;
                `read_uncommitted` reads everything.
            key_decoder: what keys become, as in `kafka_stream`. They are stored as they came; tasks decode.
            value_decoder: what values become, likewise.
            on_undecodable: what happens to a record whose key or value cannot be decoded, as in `kafka_stream`: `fail`
                stops the stream, and the checkpoint keeps the records for a program that can decode them.
            dead_letters: the topic of `on_undecodable="dead_letter"`.
            on_offset_out_of_range: what happens when the offset that comes next is gone: `fail` ends the receiver,
                which is started again with growing pauses; `earliest` and `latest` go on at the first offset or at the
                end, and listeners hear of the loss (`ReceiverFailed`, not down).
            max_records_per_s: most records a second; None: no limit but back-pressure.
            options: of the client library (librdkafka), such as `session.timeout.ms` or `group.instance.id`; what is
                secret is never shown, logged or stored.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work.

        Example:
            >>> import millstream as ms
            >>> ssc = ms.StreamingContext(1.0)
            >>> lines = ssc.kafka_group_stream("localhost:9092", group_id="counters", topics=["lines"])
        """
        from millstream.model.choices import one_of
        from millstream.model.kafka_client_options import ClientOptions
        from millstream.sources.kafka.dead_letter_topic import DeadLetterTopic
        from millstream.sources.kafka.decoding import Decoding
        from millstream.sources.kafka.group.group_feed import KafkaGroupFeed
        from millstream.sources.kafka.group.group_receiver import KafkaGroupReceiver
        from millstream.sources.kafka.subscription import Subscription

        one_of("start", start, ("earliest", "latest"))
        one_of("isolation", isolation, ("read_committed", "read_uncommitted"))
        one_of("on_offset_out_of_range", on_offset_out_of_range, ("fail", "earliest", "latest"))
        one_of("on_undecodable", on_undecodable, ("fail", "skip", "dead_letter"))
        client_options = ClientOptions(servers, options)
        letters = DeadLetterTopic.named(client_options, on_undecodable, dead_letters)
        decoding = Decoding(key_decoder, value_decoder, on_undecodable, letters)
        receiver = KafkaGroupReceiver(
            client_options,
            Subscription(topics, pattern),
            group_id,
            start=start,
            isolation=isolation,
            on_offset_out_of_range=on_offset_out_of_range,
            environment=self._environment,
            dead_letters=letters,
        )
        plain = key_decoder == value_decoder == "bytes"
        feed = KafkaGroupFeed(receiver, self._environment, max_records_per_s, None if plain else decoding)
        return self._stream(feed, labelled("kafka_group_stream", name=name))
