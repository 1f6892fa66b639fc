"""Simulates the programs of this folder from the command line: `python -m tests.simulation --help`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from typing import Any

from millstream.testing.simulation.simulate import SimulationError
from tests.simulation.programs import PROGRAMS
from tests.simulation.runs import run_points, run_seeds


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("program", nargs="?", choices=PROGRAMS, help="one of the programs; without: all")
    parser.add_argument("seed", nargs="?", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--point", type=int, help="crash once, at this point")
    parser.add_argument("--every-point", action="store_true", help="crash at each point in turn")
    parser.add_argument("--faults", help="what goes wrong, separated by commas; without: everything")
    parser.add_argument("--storage", choices=("disk", "objects"), default="disk", help="where the checkpoint lives")
    given = parser.parse_args()
    options: dict[str, Any] = {} if given.storage == "disk" else {"storage": given.storage}
    if given.faults is not None:
        options["faults"] = tuple(given.faults.split(","))
    logging.getLogger("millstream").setLevel(logging.CRITICAL)
    failed = 0
    for name in [given.program] if given.program else PROGRAMS:
        began, faults, runs = time.perf_counter(), Counter[str](), 0
        try:
            for seed in range(given.seed, given.seed + given.seeds):
                if given.point is not None:
                    outcomes = run_points(name, seed, points=[given.point], **options)
                elif given.every_point:
                    outcomes = run_points(name, seed, **options)
                else:
                    outcomes = run_seeds(name, [seed], **options)
                runs += len(outcomes)
                for outcome in outcomes:
                    faults += outcome.faults
        except SimulationError as error:
            failed += 1
            print(f"{name}: {error}")
        spent_s = time.perf_counter() - began
        shown = ", ".join(f"{fault} {count}" for fault, count in faults.most_common())
        print(f"{name}: {runs} runs in {spent_s:.1f} s; {shown}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
