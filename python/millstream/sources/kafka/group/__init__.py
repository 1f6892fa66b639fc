"""Kafka in group style: a member of a consumer group comes in; blocks of whatever partitions it is given go out."""
