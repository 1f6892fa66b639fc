"""A program whose checkpoint is on a real S3 server is killed, and goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.integration.line_server import Program
from tests.servers.s3_server import S3Server

PROGRAM = str(Path(__file__).parent / "object_program.py")


def test_a_killed_program_goes_on_and_counts_each_line_once(s3_server: S3Server, tmp_path: Path) -> None:
    url = f"s3://{s3_server.new_bucket()}/apps/lines"
    inbox, outside = tmp_path / "inbox", tmp_path / "outside"
    inbox.mkdir()
    arguments = [PROGRAM, url, json.dumps(s3_server.options), str(inbox)]
    total = 0
    for life in range(3):
        with Program(arguments) as program:
            program.read_until(lambda line: line == "started")
            for number in range(2):
                total += 10
                outside.write_text("line\n" * 10)
                outside.rename(inbox / f"{life}-{number}.txt")
                program.read_until(str(total).__eq__)
            program.process.send_signal(signal.SIGKILL)
            program.end()
            counts = [int(line) for line in program.seen if line != "started"]
            assert counts == sorted(counts)
            assert counts[0] >= total - 20, "the count goes on from where it was"
            assert counts[-1] == total, "nothing is counted twice"
