"""Conformance suites: what the engine relies on in every implementation of a port, as tests to inherit.

Make a subclass whose name begins with `Test`, say how to make your implementation, and let pytest collect it:

    class TestMyReceiver(ReceiverSuite):
        def make_receiver(self): ...
        def send(self, records): ...

`ListSource` and `MemorySink` are small implementations that pass: doubles for tests, and examples.
"""

from millstream.testing.conformance.list_source import ListSource
from millstream.testing.conformance.memory_sink import MemorySink
from millstream.testing.conformance.receiver_suite import ReceiverSuite
from millstream.testing.conformance.replayable_source_suite import ReplayableSourceSuite
from millstream.testing.conformance.sink_suite import SinkSuite

__all__ = ["ListSource", "MemorySink", "ReceiverSuite", "ReplayableSourceSuite", "SinkSuite"]
