"""Many runs, as `make kill RUNS=n` starts them."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.kill.kill_run import KillRun, Outcome
from tests.servers.postgres_server import NEEDED, PostgresServer, binary, running_postgres


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a program again and again, and check what it put out.")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10, help="in each run")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--backend", choices=["threads", "processes", "both"], default="both")
    parser.add_argument("--kafka", action="store_true", help="the word count over Kafka, and kills of its broker too")
    arguments = parser.parse_args()
    if arguments.kafka:
        from tests.kill.kafka.many_runs import run_many

        return run_many(arguments.runs, arguments.kills, arguments.seed, arguments.backend)
    outcomes: list[Outcome] = []
    failed = 0
    with ExitStack() as server:
        postgres = _postgres(server)
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            backend = arguments.backend if arguments.backend != "both" else ("threads", "processes")[seed % 2]
            folder = Path(tempfile.mkdtemp(prefix=f"kill-{seed}-"))
            url = None
            if postgres is not None:
                postgres.do(f'CREATE SCHEMA "s{seed}"')
                url = f"{postgres.url()}?options=-csearch_path%3Ds{seed}"
            run = KillRun(folder, seed, backend, url)
            try:
                outcome = run.run(arguments.kills)
            except AssertionError as error:
                outcome = run.outcome
                outcome.divergences.append(str(error))
            outcomes.append(outcome)
            print(f"seed {seed} {backend}: {outcome.kills} kills, {outcome.batches} batches", flush=True)
            for text in outcome.divergences[:5]:
                print(f"  {text[:2_000]}")
            if outcome.divergences:
                failed += 1
                print(f"  kept in {folder}; again: make kill RUNS=1 SEED={seed}", flush=True)
            else:
                shutil.rmtree(folder)
    points = Counter(point for outcome in outcomes for point in outcome.points)
    print("killed at: " + ", ".join(f"{point} {count}" for point, count in points.most_common()))
    total = {name: sum(getattr(outcome, name) for outcome in outcomes) for name in ("kills", "worker_kills", "starts")}
    print(
        f"{len(outcomes)} runs: {total['kills']} kills of the driver, {total['worker_kills']} of workers, "
        f"{total['starts'] - len(outcomes)} restarts, {sum(o.records for o in outcomes)} records "
        f"({sum(o.repeated for o in outcomes)} blocks sent again), {sum(o.batches for o in outcomes)} batches, "
        f"{sum(len(o.divergences) for o in outcomes)} divergences"
    )
    return int(failed > 0)


def _postgres(server: ExitStack) -> PostgresServer | None:
    """Start a PostgreSQL server where there is one."""
    if any(binary(name) is None for name in NEEDED):
        return None
    return server.enter_context(running_postgres())


if __name__ == "__main__":
    sys.exit(main())
