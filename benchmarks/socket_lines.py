"""Socket lines of 100 bytes with one key a line: into blocks on one core, and to reduced counts on two.

The sender is a process of its own that writes as fast as the reader takes; CPU seconds are those of this process.
"""

from __future__ import annotations

import subprocess
import sys
import time
from operator import add

import millstream as ms
from benchmarks.figures import option, report
from millstream import _core

SENDER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
line = lambda i: (b"key%05d " % (i % 5000)) + b"x" * 90 + b"\\n"
chunk = b"".join(line(i) for i in range(10_000))
peer, _ = server.accept()
try:
    while True:
        peer.sendall(chunk)
except OSError:
    pass
"""


def sender() -> tuple[subprocess.Popen[str], int]:
    """Start the sender and give it with its port."""
    process = subprocess.Popen([sys.executable, "-c", SENDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def into_blocks(seconds: float) -> tuple[float, float]:
    """Give lines a second into Arrow blocks, and CPU seconds a second."""
    process, port = sender()
    lines = _core.SocketLines("127.0.0.1", port, grid_ms=100, origin_ms=0)
    lines.start()
    records, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        time.sleep(0.01)
        records += sum(block.records for block in lines.take(int(time.time() * 1000) + 100))
    elapsed, spent = time.perf_counter() - began, time.process_time() - cpu
    lines.stop(5.0)
    process.kill()
    return records / elapsed, spent / elapsed


def to_counts(seconds: float) -> tuple[float, float]:
    """Give lines a second to counts reduced by key, and CPU seconds a second."""
    process, port = sender()
    ssc = ms.StreamingContext(0.1)
    counted = [0]
    lines = ssc.socket_text_stream("127.0.0.1", port)
    counts = lines.map(lambda line: (line[:8], 1)).reduce_by_key(add)
    counts.collect_to(lambda pairs: counted.__setitem__(0, counted[0] + sum(n for _, n in pairs)))
    ssc.start()
    time.sleep(1.0)
    before, began, cpu = counted[0], time.perf_counter(), time.process_time()
    time.sleep(seconds)
    elapsed, spent = time.perf_counter() - began, time.process_time() - cpu
    rate = (counted[0] - before) / elapsed
    ssc.stop(graceful=False)
    process.kill()
    return rate, spent / elapsed


def main() -> None:
    """Run and report."""
    seconds = option("seconds", 10)
    blocks, blocks_cpu = into_blocks(seconds)
    counts, counts_cpu = to_counts(seconds)
    report(
        "socket_lines",
        {
            "lines/s into blocks": blocks,
            "  CPU seconds a second": blocks_cpu,
            "  lines a CPU second (target >= 1 M on one core)": blocks / blocks_cpu,
            "lines/s to reduced counts (target >= 0.5 M)": counts,
            "  CPU seconds a second, counts": counts_cpu,
        },
    )


if __name__ == "__main__":
    main()
