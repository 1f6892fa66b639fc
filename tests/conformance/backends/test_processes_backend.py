from __future__ import annotations

from millstream.execution.backend import Backend
from millstream.execution.processes import ProcessesBackend
from tests.conformance.backends.backend_suite import FullBackendSuite
from tests.conformance.backends.loss_suite import LIMIT, LossSuite


class TestProcessesBackend(FullBackendSuite, LossSuite):
    @classmethod
    def make_backend(cls) -> Backend:
        return ProcessesBackend(2, worker_restarts=LIMIT)
