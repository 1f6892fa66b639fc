"""The test kit: run a streaming program over given batches, on a clock that a test moves.

Comes in: the user's program. Goes out: what each batch put out. Nothing sleeps.
"""

from millstream.environment.clock import ManualClock
from millstream.testing.run_batches import run_batches
from millstream.testing.simulation.simulate import simulate

__all__ = ["ManualClock", "run_batches", "simulate"]
