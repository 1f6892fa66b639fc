"""Batches that are posted to a service."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from millstream.environment.environment import Environment, start_thread
from millstream.environment.http_client import checked_url, request_headers, shown_service
from millstream.environment.logger import logger
from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, LifecycleError, shown
from millstream.model.batch import Batch
from millstream.model.choices import one_of
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.sinks.http.http_delivery import HttpDelivery, HttpTarget, Refusal
from millstream.sinks.http.http_part import MEDIA_TYPES, BodyFormat, HttpPart, parts_of
from millstream.sinks.http.refused_parts import RefusedParts

OnRefused: TypeAlias = Literal["fail", "skip", "dead_letter"]

MAX_PART_BYTES = 4_194_304
"""A part is not larger, save one of a single record: what most services take."""


class HttpSink(Sink[Any]):
    """Posts each batch as JSON, in parts, in order of batch time.

    Each part has an `Idempotency-Key` of the history of the program, the output, the batch time and its number, the
    same in every run of the batch: a service that honours it takes each part once, another one at least once. A part
    that fails in a way that may pass is posted again after a pause, or when the service says; one that is refused
    for good follows a policy.

    Args:
        url: of the service; nothing of it but scheme and host is shown in errors and logs.
        format: `json`: arrays of records; `lines`: one record a line.
        headers: of each request, such as `{"X-Api-Key": ...}`; not shown.
        token: sent as `Authorization: Bearer TOKEN`; not shown.
        max_records: most records of a part.
        concurrency: parts that are under way at once; with 1 they arrive in order.
        timeout_s: how long each step of a request may take.
        retries: how often a part is posted again, before the batch itself counts as failed.
        retry_pause_s: pause before the first retry; it doubles up to 30 s.
        on_refused: about a part that is refused for good: `fail`: the stream stops; `skip` it, with a warning;
            `dead_letter`: keep it in `dead_letters`.
        dead_letters: directory, or URL of a prefix on an object store.
        storage_options: settings of that object store.
        environment: clock and threads.

    Raises:
        ConfigurationError: an argument cannot work, or `millstream[http]` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        format: BodyFormat = "json",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        max_records: int = 1_000,
        concurrency: int = 1,
        timeout_s: float = 10.0,
        retries: int = 5,
        retry_pause_s: float = 0.5,
        on_refused: OnRefused = "fail",
        dead_letters: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
    ) -> None:
        _check_policies(format, on_refused, dead_letters)
        self._url = checked_url(url, "save_to_http")
        secrets = request_headers(token, headers)
        self._target: HttpTarget | None = HttpTarget(
            self._url, secrets, format, timeout_s, retries, retry_pause_s, concurrency
        )
        self.name = f"service {shown_service(self._url)}"
        self._max_records = max_records
        self._concurrency = concurrency
        self._in_order = concurrency == 1
        self._on_refused = on_refused
        self._environment: Environment | None = environment if environment is not None else Environment()
        self._refused = None if dead_letters is None else RefusedParts(dead_letters, storage_options, self._environment)
        self._lineage: SinkLineage | None = None
        self._delivery: HttpDelivery | None = None
        self._delivered: tuple[int, set[str]] = (0, set())

    def __getstate__(self) -> dict[str, Any]:
        # Executors only encode; what they need not know stays here.
        driver_only = ("_url", "_target", "_environment", "_refused", "_delivery")
        return {**self.__dict__, **dict.fromkeys(driver_only)}

    def open(self, lineage: SinkLineage) -> int | None:
        self._lineage = lineage
        if self._delivery is None and self._target is not None and self._environment is not None:
            self._delivery = HttpDelivery(self._target, self._environment.clock.wall_ms)
        return None

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        import msgspec

        encoder = msgspec.json.Encoder()
        encoded: list[bytes] = []
        for record in data.rows():
            try:
                encoded.append(encoder.encode(record))
            except Exception as error:
                raise ArgumentTypeError(
                    "A record cannot be posted as JSON.",
                    detail=f"{shown(record)}: {error}",
                    hint="Turn it into dicts, lists, text and numbers with map().",
                ) from error
        return encoded

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        delivery, lineage = self._delivery, self._lineage
        if delivery is None or lineage is None:
            raise LifecycleError(
                f"The sink of {self.name} is not open.",
                detail="commit comes after open.",
                hint="Hand the sink to stream.write_to(...) and start the context.",
            )
        if self._delivered[0] != batch.time_ms:
            self._delivered = (batch.time_ms, set())
        records = [record for receipt in receipts for record in receipt]
        key = f"{lineage.key}-{batch.time_ms}"
        waiting = [
            part
            for part in parts_of(records, key, self._max_records, MAX_PART_BYTES)
            if part.key not in self._delivered[1]
        ]
        self._post_all(waiting, lineage.key, batch, delivery)

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts hold all that was staged, so nothing is left to throw away."""

    def close(self) -> None:
        if self._delivery is not None:
            self._delivery.close()
        self._delivery = None

    def _post_all(self, parts: Sequence[HttpPart], sender: str, batch: Batch, delivery: HttpDelivery) -> None:
        """Post all parts; when one fails, those that have not begun are left for the next try."""
        waiting = iter(parts)
        lock = threading.Lock()
        failures: list[BaseException] = []

        def post_some() -> None:
            while not failures:
                with lock:
                    part = next(waiting, None)
                if part is None:
                    return
                try:
                    refusal = delivery.post(part, part.position(sender, batch.time_ms) if self._in_order else None)
                    if refusal is not None:
                        self._settle(part, refusal, batch)
                    self._delivered[1].add(part.key)
                except BaseException as error:
                    failures.append(error)

        # Why not a pool: its threads would keep a program from ending while a service is waited for.
        helpers = [start_thread(self.name, post_some) for _ in range(min(self._concurrency, len(parts)) - 1)]
        post_some()
        # Why all before the error: a part that is under way may not meet itself in the next try.
        for helper in helpers:
            helper.join()
        if failures:
            raise failures[0]

    def _settle(self, part: HttpPart, refusal: Refusal, batch: Batch) -> None:
        """Do with a refused part what the policy says."""
        if self._on_refused == "dead_letter" and self._refused is not None:
            self._refused.keep(part, refusal)
        elif self._on_refused == "fail":
            output = "" if self._lineage is None else f"output {self._lineage.output}, "
            moved = 300 <= refusal.status < 400
            raise DataError(
                f"{self.name} refuses a part of the batch: {refusal.status} {refusal.answer}".rstrip(),
                detail=f"{output}batch {batch.time_ms}, {len(part.records)} records, key {part.key}, the first is "
                f"{part.records[0][:200].decode(errors='replace')}.",
                hint="Redirects are not followed: give the URL that it points to."
                if moved
                else 'Mend such records with map(), or say on_refused="dead_letter" or "skip".',
            )
        what = "kept as a dead letter" if self._on_refused == "dead_letter" else "skipped"
        logger.warning(
            "%s refused %d records of batch %d with status %d; they are %s. Key: %s",
            self.name,
            len(part.records),
            batch.time_ms,
            refusal.status,
            what,
            part.key,
        )


def _check_policies(format: str, on_refused: str, dead_letters: object) -> None:
    one_of("format", format, tuple(MEDIA_TYPES))
    one_of("on_refused", on_refused, ("fail", "skip", "dead_letter"))
    if (on_refused == "dead_letter") != (dead_letters is not None):
        raise ConfigurationError(
            "Dead letters need a policy and a place.",
            detail=f"on_refused={on_refused!r}, dead_letters={shown(dead_letters)}.",
            hint='Give on_refused="dead_letter" and dead_letters="some/directory", or neither.',
        )
