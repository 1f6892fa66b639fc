"""Many runs, as `make kill RUNS=n` starts them."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.kill.kill_run import KillRun
from tests.kill.many_runs import outcome_of, run_many
from tests.kill.outcome import Outcome
from tests.servers.postgres_server import NEEDED, PostgresServer, binary, running_postgres


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a program again and again, and check what it put out.")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10, help="in each run")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--backend", choices=["threads", "processes", "both"], default="both")
    parser.add_argument("--kafka", action="store_true", help="the word count over Kafka, and kills of its broker too")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    if arguments.kafka:
        from tests.kill.kafka.runs import run_over_kafka

        return run_over_kafka(seeds, arguments.kills, arguments.backend)
    with ExitStack() as server:
        postgres = _postgres(server)

        def run(folder: Path, seed: int, backend: str) -> Outcome:
            url = None
            if postgres is not None:
                postgres.do(f'CREATE SCHEMA "s{seed}"')
                url = f"{postgres.url()}?options=-csearch_path%3Ds{seed}"
            return outcome_of(KillRun(folder, seed, backend, url), arguments.kills)

        return run_many(run, seeds, arguments.backend, "kill", "make kill RUNS=1")


def _postgres(server: ExitStack) -> PostgresServer | None:
    """Start a PostgreSQL server where there is one."""
    if any(binary(name) is None for name in NEEDED):
        return None
    return server.enter_context(running_postgres())


if __name__ == "__main__":
    sys.exit(main())
