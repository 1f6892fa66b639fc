from __future__ import annotations

from millstream.execution.backend import Backend
from millstream.execution.processes import ProcessesBackend
from tests.conformance.backends.backend_suite import FullBackendSuite
from tests.conformance.backends.loss_suite import LIMIT, LossSuite


class TestProcessesBackend(FullBackendSuite, LossSuite):
    executors = 2

    @classmethod
    def make_backend(cls) -> Backend:
        return ProcessesBackend(cls.executors, worker_restarts=LIMIT)
