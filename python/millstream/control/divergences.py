"""Batches that run again, compared with what they were."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.control.recovery_policies import RecoveryPolicies
from millstream.environment.logger import logger
from millstream.errors import DataError
from millstream.observe.event_bus import EventBus
from millstream.observe.events import BatchDiverged
from millstream.recovery.decisions import BatchPrepared, Digest


class Divergences:
    """Finds differences between two runs of a batch, and does about them what the program asks for.

    Args:
        policies: what a difference does.
        bus: hears of each.
    """

    def __init__(self, policies: RecoveryPolicies, bus: EventBus) -> None:
        self._policies = policies
        self._bus = bus

    def compare(self, before: BatchPrepared, now: BatchPrepared, *, committed: bool = False) -> None:
        """Compare what a batch came to when it ran again with what an earlier driver made of it.

        Args:
            before: what the earlier driver journalled.
            now: what came out now.
            committed: a sink has committed what came out before.

        Raises:
            DataError: they differ, and the policy is to fail.
        """
        changed = _changed(before.inputs, now.inputs)
        again = "ran again after a restart and"
        if changed:
            self.report(now.time_ms, f"{again} read other records", changed, "on_input_changed")
        # Not "elif": a change of input that is accepted says nothing about what a sink has committed already.
        if committed and before.state != now.state:
            detail = f"{before.state}, now {now.state}"
            self.report(now.time_ms, f"{again} came to another state", detail, "on_divergence")
        if committed and (differing := _changed(before.outputs, now.outputs)):
            self.report(now.time_ms, f"{again} gave other records to an output", differing, "on_divergence")

    def report(self, time_ms: int, what: str, detail: str, policy: str) -> None:
        """Tell of a difference.

        Args:
            time_ms: the batch.
            what: is different, after "The batch T".
            detail: both sides.
            policy: the name of the policy that decides.

        Raises:
            DataError: the policy is to fail.
        """
        accepted = getattr(self._policies, policy) == "accept"
        if BatchDiverged in self._bus.heard:
            self._bus.post(BatchDiverged(time_ms, what, detail, accepted))
        logger.warning("The batch %d %s: %s", time_ms, what, detail)
        if not accepted:
            raise DataError(
                f"The batch {time_ms} {what}.",
                detail=detail,
                hint=f'If this is what you want, for instance because code or data were changed: {policy}="accept".',
            )


def _changed(before: Mapping[str, tuple[Digest, ...]], now: Mapping[str, tuple[Digest, ...]]) -> str:
    """Say of which inputs or outputs the digests contradict each other, and how; empty when none do."""
    return "; ".join(
        f"{name}: {_shown(before[name])}, now {_shown(digests)}"
        for name, digests in now.items()
        if name in before and _contradict(before[name], digests)
    )


def _contradict(before: tuple[Digest, ...], now: tuple[Digest, ...]) -> bool:
    if len(before) == len(now):
        return any(one.contradicts(other) for one, other in zip(before, now, strict=True))
    # Other partitions, as with another number of workers: the order of records is another then, their number is not.
    return _total(before).contradicts(_total(now))


def _total(digests: tuple[Digest, ...]) -> Digest:
    counts = [digest.count for digest in digests if digest.count is not None]
    return Digest(sum(counts) if len(counts) == len(digests) else None)


def _shown(digests: tuple[Digest, ...]) -> str:
    count, checksums = _total(digests).count, [digest.checksum for digest in digests]
    records = "an unknown number of records" if count is None else f"{count} records"
    known = [f"{checksum:08x}" for checksum in checksums if checksum is not None]
    return f"{records} with checksums {' '.join(known)}" if known else records
