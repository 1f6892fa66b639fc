"""What durability costs a stream: latency with an acknowledged input, CPU of a word count, a checkpoint beside it.

Three parts, each with its peer in the same run:

- 100 k records/s from a sender that waits for each block to be durable, and then sends what is due, every 1 ms at
  most, 5 ms batches: record to output;
- a socket word count at a fixed rate, with and without a checkpoint: CPU seconds a million lines;
- 1 M keys of state, and the same 100 k records/s: record to output while checkpoints are written, and without any.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from operator import add
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import option, percentile, report

RATE = 100_000

SENDER = """
import socket, sys, time
rate = int(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
chunk = b"".join((b"key%05d " % (i % 5000)) + b"x" * 90 + b"\\n" for i in range(5_000))
peer, _ = server.accept()
began, sent = time.monotonic(), 0
try:
    while True:
        if sent < (time.monotonic() - began) * rate:
            peer.sendall(chunk)
            sent += 5_000
        else:
            time.sleep(0.001)
except OSError:
    pass
"""


class Acknowledged(ms.Receiver[float]):
    """Stores the records that are due as a block, each the time at which it is, and waits until it is durable."""

    name = "acknowledged"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []

    def on_start(self) -> None:
        """Start to send."""
        thread = threading.Thread(target=self._send)
        self._threads.append(thread)
        thread.start()

    def on_stop(self) -> None:
        """Wait for the sender."""
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        began, step, sent = time.perf_counter(), 1.0 / RATE, 0
        total = int(self.seconds * RATE)
        while sent < total:
            time.sleep(0.001)
            due = min(total, int((time.perf_counter() - began) * RATE))
            self.store_many([began + number * step for number in range(sent, due)], position=due)
            sent = due
        self.over.set()


def count(key: int, value: float | None, state: ms.State[int]) -> float | None:
    """Count the key, and pass the record on."""
    state.update((state.get() if state.exists() else 0) + 1)
    return value


def ages_ms(seconds: float, place: Path | None, keys: int = 0, checkpoint_interval: float = 10.0) -> list[float]:
    """Give the ages of records at the output, counted from the time at which they were due."""
    ssc = ms.StreamingContext(0.005, checkpoint=place, checkpoint_interval=checkpoint_interval)
    receiver = Acknowledged(seconds)
    records = ssc.receiver_stream(receiver, name="in")
    ages: list[float] = []

    def arrived(rows: list[Any]) -> None:
        now = time.perf_counter()
        ages.extend([(now - due) * 1000.0 for due in rows])

    if keys:
        initial = [(key, 1) for key in range(keys)]
        spec: Any = ms.StateSpec(count).initial_state(initial)
        records.map(lambda due: (int(due * RATE) % keys, due)).map_with_state(spec, name="counts").collect_to(arrived)
    else:
        pairs = records.map(lambda due: (due, 1)).filter(lambda pair: pair[1] == 1)
        pairs.map(lambda pair: pair[0]).collect_to(arrived)
    ssc.start()
    receiver.over.wait()
    ssc.stop()
    return ages[len(ages) // 5 :]


def cpu_s_per_million(seconds: float, rate: int, place: Path | None) -> float:
    """Give the CPU seconds of this process for a million lines of a socket word count."""
    sender = subprocess.Popen([sys.executable, "-c", SENDER, str(rate)], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    ssc = ms.StreamingContext(0.1, checkpoint=place)
    counted = [0]
    lines = ssc.socket_text_stream("127.0.0.1", int(sender.stdout.readline()))
    counts = lines.map(lambda line: (line[:8], 1)).reduce_by_key(add)
    counts.collect_to(lambda pairs: counted.__setitem__(0, counted[0] + sum(n for _, n in pairs)))
    ssc.start()
    time.sleep(1.0)
    before, cpu = counted[0], time.process_time()
    time.sleep(seconds)
    spent, lines_count = time.process_time() - cpu, counted[0] - before
    ssc.stop(graceful=False)
    sender.kill()
    return spent * 1e6 / lines_count


def main() -> None:
    """Run and report."""
    seconds = option("seconds", 15)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        root = Path(folder)
        plain, durable = ages_ms(seconds, None), ages_ms(seconds, root / "acknowledged")
        cpu, durable_cpu = (
            cpu_s_per_million(seconds, 500_000, None),
            cpu_s_per_million(seconds, 500_000, root / "socket"),
        )
        keys = int(option("keys", 1_000_000))
        quiet = ages_ms(2 * seconds, root / "quiet", keys, checkpoint_interval=3_600.0)
        writing = ages_ms(2 * seconds, root / "writing", keys, checkpoint_interval=2.0)
    report(
        "durable_stream",
        {
            "acknowledged, durable: p50 ms (target <= 6)": percentile(durable, 0.5),
            "acknowledged, durable: p99 ms (target <= 15)": percentile(durable, 0.99),
            "  without a checkpoint: p50 ms": percentile(plain, 0.5),
            "  without a checkpoint: p99 ms": percentile(plain, 0.99),
            "socket word count: CPU s a million lines": cpu,
            "  durable": durable_cpu,
            "  cost of durability (target < 0.2)": durable_cpu / cpu - 1.0,
            "1 M keys, a checkpoint every 2 s: p99 ms": percentile(writing, 0.99),
            "  without checkpoints: p99 ms": percentile(quiet, 0.99),
            "  rise (target < 0.2)": percentile(writing, 0.99) / percentile(quiet, 0.99) - 1.0,
        },
    )


if __name__ == "__main__":
    main()
