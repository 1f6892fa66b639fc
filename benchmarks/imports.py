"""How long `import millstream` and `millstream --help` take, as whole processes, less the start of Python itself.

Names are loaded at their first use, so the import with the name that every streaming program uses is timed too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import median, option, report


def seconds(*command: str) -> float:
    """Time one run of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 9))
    python, script = sys.executable, str(Path(sys.executable).parent / "millstream")
    bare, imported, used, helped = [], [], [], []
    for _ in range(rounds):
        bare.append(seconds(python, "-c", "pass"))
        imported.append(seconds(python, "-c", "import millstream"))
        used.append(seconds(python, "-c", "from millstream import StreamingContext"))
        helped.append(seconds(script, "--help"))
    report(
        "imports",
        {
            "python -c pass, s": median(bare),
            "import millstream, s, less the start of Python (target <= 0.15)": median(imported) - median(bare),
            "from millstream import StreamingContext, s, less the start of Python": median(used) - median(bare),
            "millstream --help, s, whole process (target <= 0.3)": median(helped),
        },
    )


if __name__ == "__main__":
    main()
