from __future__ import annotations

from millstream.execution.backend import Backend
from millstream.execution.threads import ThreadsBackend
from tests.conformance.backends.backend_suite import FullBackendSuite


class TestThreadsBackend(FullBackendSuite):
    @classmethod
    def make_backend(cls) -> Backend:
        return ThreadsBackend()
