"""Topics of Kafka: records come in, messages that are committed once a batch go out.

`kafka_sink` is the sink; `message_columns` turns records into columns (on executors); on the driver `plain_writer`
writes them at least once, `transactional_writer` exactly once, with a `control_topic` that says which batch is
the newest.
"""
