"""Batches that run again, compared with what they were."""

from __future__ import annotations

from millstream.control.recovery_policies import RecoveryPolicies
from millstream.environment.logger import logger
from millstream.errors import DataError
from millstream.observe.event_bus import EventBus
from millstream.observe.events import BatchDiverged
from millstream.recovery.decisions import BatchPrepared


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
        changed = {
            name: (before.inputs[name], digests)
            for name, digests in now.inputs.items()
            if name in before.inputs and before.inputs[name] != digests
        }
        again = "ran again after a restart and"
        if changed:
            self.report(now.time_ms, f"{again} read other records", str(changed), "on_input_changed")
        # Not "elif": a change of input that is accepted says nothing about what a sink has committed already.
        if committed and before.state != now.state:
            detail = f"{before.state}, now {now.state}"
            self.report(now.time_ms, f"{again} came to another state", detail, "on_divergence")

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
