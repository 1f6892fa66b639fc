"""Outputs that earlier drivers had and the program has no more: what they left open is ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from millstream.environment.logger import logger
from millstream.model.kafka_client_options import ClientOptions

LIMIT_S = 5.0
"""How long brokers may take to answer: after about this time they have aborted what was left open by themselves."""


def end_removed_outputs(notes: Iterable[Mapping[str, Any]], known: Sequence[ClientOptions]) -> None:
    """End the transactions that outputs have left open, and fence whoever may still write them.

    Brokers that do not answer, or refuse, are a warning: they abort an open transaction after its timeout.

    Args:
        notes: what the sinks of the outputs had noted, with `transactional_id`.
        known: how the program speaks to the brokers of its inputs and outputs. A checkpoint holds no credentials, so
            those of a removed output are found here, or not at all.
    """
    silent: set[str] = set()
    for note in notes:
        trouble = _ended(note, known, silent)
        if trouble is not None:
            logger.warning(
                "An output that the program has no more may have left a transaction open (transactional id %s, at %s): "
                "%s. The brokers abort it after its timeout; until then those who read committed records wait.",
                note["transactional_id"],
                note.get("servers", "servers that are not known any more"),
                trouble,
            )


def _ended(note: Mapping[str, Any], known: Sequence[ClientOptions], silent: set[str]) -> str | None:
    """End one; give what is in the way, or None."""
    from millstream._core import KafkaClientError, KafkaProducer

    trouble = "no input or output of the program is in its cluster"
    for options in _ways(note.get("servers"), known):
        if options.servers in silent:
            continue
        try:
            producer = KafkaProducer(options.for_transactions("murmur2_random", note["transactional_id"], LIMIT_S))
            if producer.cluster_id(LIMIT_S) == note["kafka_cluster"]:
                producer.init_transactions(LIMIT_S)
                return None
        except KafkaClientError as error:
            trouble = str(error)
            if error.kind == "unavailable":
                silent.add(options.servers)
    return trouble


def _ways(servers: str | None, known: Sequence[ClientOptions]) -> list[ClientOptions]:
    """List how a cluster may be reached, the likeliest first: one cluster may be known by several servers."""
    same = [options for options in known if options.servers == servers]
    if not same and servers is not None:
        same = [ClientOptions(servers)]
    return [*same, *(options for options in known if options.servers != servers)]
