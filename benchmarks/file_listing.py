"""file_stream over a directory with 100 k files that were read, and a file more in every batch."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import millstream as ms
from benchmarks.figures import median, option, percentile, report
from millstream.testing import ManualClock


def batches(files: int, watch: bool) -> tuple[list[float], float]:
    """Give the milliseconds of each batch with a new file, and the journal's bytes a batch."""
    with tempfile.TemporaryDirectory() as place:
        directory, checkpoint = Path(place, "in"), Path(place, "checkpoint")
        directory.mkdir()
        for number in range(files):
            (directory / f"old-{number:07d}.txt").write_bytes(b"x\n")
        clock = ManualClock(time.time())
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(
            1.0, name="listing", checkpoint=checkpoint, checkpoint_interval=3_600, environment=environment
        )
        seen: list[list[str]] = []
        ssc.file_stream(directory, name="files", watch=watch).collect_to(seen)
        ssc.start()
        clock.advance(1.0)
        times, before = [], _bytes_of(checkpoint)
        for number in range(int(option("batches", 50))):
            staged = directory / ".staged"
            staged.write_text(f"{number}\n")
            staged.rename(directory / f"new-{number:07d}.txt")
            began = time.perf_counter()
            clock.advance(1.0)
            times.append((time.perf_counter() - began) * 1000.0)
        after = _bytes_of(checkpoint)
        ssc.stop(graceful=False)
        assert [record for batch in seen for record in batch] == [str(number) for number in range(len(times))]
    return times, (after - before) / len(times)


def _bytes_of(checkpoint: Path) -> int:
    """Count what logs hold; their files have space set aside that is zeros."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in checkpoint.rglob("*") if path.is_file())


def main() -> None:
    """Run and report."""
    files = int(option("files", 100_000))
    told, size = batches(files, watch=True)
    listed, _ = batches(files, watch=False)
    report(
        "file_listing",
        {
            "files that were read": files,
            "ms a batch with a new file, median (target < 5)": median(told),
            "ms a batch with a new file, p90": percentile(told, 0.9),
            "bytes of the journal a batch": size,
            "ms a batch where nothing is told, by listing, median": median(listed),
        },
    )


if __name__ == "__main__":
    main()
