"""Kafka: where a stream's records are in its topics comes in; Arrow columns of these ranges go out."""
