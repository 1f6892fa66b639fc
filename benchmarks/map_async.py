"""map_async with look-ups of 20 ms, 200 in flight, on one core; beside a bare asyncio.gather with a semaphore.

Records go through batches on a clock that is moved by hand; what is timed is the way of all records through them.
"""

from __future__ import annotations

import asyncio
import time

import millstream as ms
from benchmarks.figures import median, option, report
from millstream.testing import ManualClock

CONCURRENCY = 200
LOOK_UP_S = 0.020


async def looked_up(x: int) -> int:
    """Wait as long as a service would take."""
    await asyncio.sleep(LOOK_UP_S)
    return x


def stream_s(records: int, batches: int) -> tuple[float, float]:
    """Time batches of so many records: wall and CPU seconds a batch, the median of each."""
    clock = ManualClock()
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    numbers = ssc.memory_stream(max_records=2 * records)
    seen: list[int] = []
    numbers.map_async(looked_up, concurrency=CONCURRENCY).collect_to(lambda rows, batch: seen.append(len(rows)))
    ssc.start()
    wall, cpu = [], []
    for _ in range(batches + 1):
        numbers.push_many(range(records))
        began, cpu_began = time.perf_counter(), time.process_time()
        clock.advance(1.0)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    ssc.stop(graceful=False)
    assert set(seen) == {records}
    return median(wall[1:]), median(cpu[1:])


def gather_s(records: int, times: int) -> float:
    """Time the same look-ups without the engine: seconds, the median."""

    async def all_looked_up() -> list[int]:
        free = asyncio.Semaphore(CONCURRENCY)

        async def one(x: int) -> int:
            async with free:
                return await looked_up(x)

        return await asyncio.gather(*map(one, range(records)))

    walls = []
    for _ in range(times):
        began = time.perf_counter()
        assert len(asyncio.run(all_looked_up())) == records
        walls.append(time.perf_counter() - began)
    return median(walls)


def main() -> None:
    """Run and report."""
    records, batches = int(option("records", 10_000)), int(option("batches", 5))
    wall_s, cpu_s = stream_s(records, batches)
    bare_s = gather_s(records, batches)
    report(
        "map_async",
        {
            "records a batch, in flight, ms a look-up": f"{records}, {CONCURRENCY}, {LOOK_UP_S * 1000:g}",
            "records/s (target >= 8000)": records / wall_s,
            "records/s of a bare asyncio.gather": records / bare_s,
            "ratio to it": bare_s / wall_s,
            "CPU us a record": cpu_s / records * 1e6,
        },
    )


if __name__ == "__main__":
    main()
