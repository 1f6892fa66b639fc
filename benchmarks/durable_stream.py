"""What durability costs a stream: latency with an acknowledged input, CPU of a word count, a checkpoint beside it.

Three parts, each with its peer in the same run:

- 100 k records/s from a sender that waits for each block to be durable, and then sends what is due, every 1 ms at
  most, 5 ms batches: record to output;
- a socket word count at a fixed rate, with and without a checkpoint: CPU seconds a million lines;
- 1 M keys of state, and the same 100 k records/s: record to output while checkpoints are written, and without any.

The last two run `--rounds=` times, in turn with their peers: of the CPU seconds the least counts, of the p99 the
median. `--only=` takes `acknowledged`, `socket` or `snapshot`.
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
from benchmarks.figures import median, option, percentile, report

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


def acknowledged(seconds: float, root: Path) -> dict[str, object]:
    """Measure records that are acknowledged when they are durable."""
    plain, durable = ages_ms(seconds, None), ages_ms(seconds, root / "acknowledged")
    return {
        "acknowledged, durable: p50 ms (target <= 6)": percentile(durable, 0.5),
        "acknowledged, durable: p99 ms (target <= 15)": percentile(durable, 0.99),
        "  without a checkpoint: p50 ms": percentile(plain, 0.5),
        "  without a checkpoint: p99 ms": percentile(plain, 0.99),
    }


def socket(seconds: float, root: Path, rounds: int) -> dict[str, object]:
    """Measure the CPU time of a word count."""
    plain, durable = [], []
    for number in range(rounds):
        plain.append(cpu_s_per_million(seconds, 500_000, None))
        durable.append(cpu_s_per_million(seconds, 500_000, root / f"socket-{number}"))
    return {
        "socket word count: CPU s a million lines": min(plain),
        "  durable": min(durable),
        "  cost of durability (target < 0.2)": min(durable) / min(plain) - 1.0,
    }


def snapshot(seconds: float, root: Path, rounds: int, keys: int) -> dict[str, object]:
    """Measure records beside checkpoints."""
    quiet, writing = [], []
    for number in range(rounds):
        quiet.append(percentile(ages_ms(seconds, root / f"quiet-{number}", keys, 3_600.0), 0.99))
        writing.append(percentile(ages_ms(seconds, root / f"writing-{number}", keys, 2.0), 0.99))
    return {
        "1 M keys, a checkpoint every 2 s: p99 ms": median(writing),
        "  without checkpoints: p99 ms": median(quiet),
        "  rise (target < 0.2)": median(writing) / median(quiet) - 1.0,
    }


def main() -> None:
    """Run and report."""
    seconds, rounds, keys = option("seconds", 15), int(option("rounds", 3)), int(option("keys", 1_000_000))
    only = [argument.removeprefix("--only=") for argument in sys.argv[1:] if argument.startswith("--only=")]
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        root = Path(folder)
        if not only or "acknowledged" in only:
            rows |= acknowledged(seconds, root)
        if not only or "socket" in only:
            rows |= socket(seconds / 2, root, rounds)
        if not only or "snapshot" in only:
            rows |= snapshot(2 * seconds, root, rounds, keys)
    report("durable_stream", rows)


if __name__ == "__main__":
    main()
