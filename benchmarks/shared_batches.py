"""Back-pressure with two inputs whose records cost differently: what part of a batch's time each of them gets.

Kafka is asked for records and has a backlog that never ends; a socket pushes what its sender offers. Nothing runs in
real time: batches take what they would take by the costs, with noise of a fixed seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from millstream.control.rate.pid_rate_controller import PidRateController
from millstream.graph.inputs import ROOM_BATCHES
from millstream.model.ports.rate_controller import BatchMeasured

INTERVAL_MS = 1_000
OVERHEAD_MS = 50.0
NOISE = 0.05
SEED = 7
MORE = 100_000
"""Records a second: more than any part of a batch's time is enough for."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Two inputs of one program.

    Attributes:
        name: of the scenario.
        kafka_ms: what a record of Kafka costs.
        socket_ms: what a record of the socket costs.
        offered: records a second that the sender of the socket has.
        begins_s: when it begins.
    """

    name: str
    kafka_ms: float
    socket_ms: float
    offered: float
    begins_s: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What came of one scenario, from the middle to the end.

    Attributes:
        kafka: records a second.
        socket: records a second.
        kafka_share: the part of the time of batches that records of Kafka took.
        socket_share: likewise.
        late: batches that took more than two and a half intervals, of all.
    """

    kafka: float
    socket: float
    kafka_share: float
    socket_share: float
    late: int


SCENARIOS = (
    Shared("a socket with few dear records", 0.05, 0.6, 500),
    Shared("a socket that has more than its half", 0.05, 0.6, 2_000),
    Shared("both without end, from the first batch", 0.05, 0.6, MORE),
    Shared("equal costs, both without end", 0.1, 0.1, MORE),
    Shared("a thousand times dearer", 0.005, 5.0, 2_000),
    Shared("a socket that begins after a minute", 0.05, 0.6, 500, begins_s=60),
)


def run(scenario: Shared, seconds: int = 240) -> Parts:
    """Run a program for so many seconds of its own time."""
    chance = random.Random(SEED)
    controllers = {name: PidRateController(name) for name in ("kafka", "socket")}
    rates = {name: one.first_rate(INTERVAL_MS) or 0.0 for name, one in controllers.items()}
    costs = {"kafka": scenario.kafka_ms, "socket": scenario.socket_ms}
    waiting, due_s, last_s, free_s, late = 0.0, 1, 0, 0.0, 0
    counts, times_ms, half_s = dict.fromkeys(costs, 0), 0.0, 0
    while due_s < seconds:
        waiting += scenario.offered * max(0, due_s - max(last_s, scenario.begins_s))
        records = {
            "kafka": int(rates["kafka"]),
            "socket": int(min(waiting, rates["socket"] * min(due_s - last_s, ROOM_BATCHES))),
        }
        waiting -= records["socket"]
        took_ms = OVERHEAD_MS + sum(costs[name] * count for name, count in records.items())
        took_ms *= max(0.5, 1.0 + NOISE * chance.gauss(0.0, 1.0))
        began_s = max(float(due_s), free_s)
        free_s = began_s + took_ms / 1_000.0
        measured = BatchMeasured(due_s * 1_000, INTERVAL_MS, records, took_ms, (began_s - due_s) * 1_000.0)
        rates = {name: one.next_rate(measured) or 0.0 for name, one in controllers.items()}
        late += free_s - due_s > 2.5
        if due_s > seconds // 2:
            half_s = half_s or last_s
            counts = {name: counts[name] + count for name, count in records.items()}
            times_ms += took_ms
        last_s, due_s = due_s, max(due_s + 1, int(free_s))
    spent_s = last_s - half_s
    shares = {name: costs[name] * counts[name] / times_ms for name in costs}
    return Parts(counts["kafka"] / spent_s, counts["socket"] / spent_s, shares["kafka"], shares["socket"], late)


def main() -> None:
    """Print the table."""
    print(f"{'scenario':<40} {'Kafka':>10} {'socket':>10} {'time of each':>14} {'late':>5}")
    for scenario in SCENARIOS:
        parts = run(scenario)
        rates = f"{parts.kafka:>8,.0f}/s {parts.socket:>8,.0f}/s"
        print(f"{scenario.name:<40} {rates} {parts.kafka_share:>6.0%} {parts.socket_share:>7.0%} {parts.late:>5}")


if __name__ == "__main__":
    main()
