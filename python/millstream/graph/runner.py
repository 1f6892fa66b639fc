"""What the graph needs to compute lineage: injected, so that it knows nothing of executors."""

from __future__ import annotations

from typing import Any, Protocol

from millstream.rdd.lineage import Lineage
from millstream.rdd.runner import Runner


class BatchRunner(Runner, Protocol):
    """A runner that also keeps what it computed."""

    def keep(self, lineage: Lineage) -> list[Any]:
        """Compute all partitions and give their data, which stays valid across batches when made into rows."""
        ...
