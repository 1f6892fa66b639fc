"""The command line as a shell sees it: output, errors and exit statuses."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.line_server import LineServer, Program

CLI = ["-c", "import sys; from millstream.cli import main; sys.exit(main())"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *CLI, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def written(folder: Path, text: str) -> str:
    app = folder / "app.py"
    app.write_text(text)
    return str(app)


def test_help_names_the_commands() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in ("demo", "run", "serve-text"):
        assert re.search(rf"^ +{command}", shown.stdout, re.MULTILINE)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from millstream.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'asyncio', 'click', 'fsspec', 'msgspec', 'numpy', 'polars', 'pyarrow', 'rich', 'typer'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"millstream {version('millstream')}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("walk",), "invalid choice: 'walk'"),
        (("demo", "--windw", "3"), "unrecognized arguments: --windw 3"),
        (("demo", "--rate", "-3"), "'-3' is not a number above zero"),
        (("demo", "--rate", "fast"), "'fast' is not a number above zero"),
        (("demo", "--top", "0"), "'0' is not a whole number above zero"),
        (("demo", "--backend", "ray"), "invalid choice: 'ray'"),
        (("demo", "--interval", "1", "--window", "1.5"), "window is not a multiple of the batch interval"),
        (("run",), "the following arguments are required: APP"),
        (("run", "no_such_program.py"), "There is no program no_such_program.py"),
        (("serve-text", "/no/such/text"), "There is no such file or folder"),
    ],
)
def test_wrong_usage_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


class TestRun:
    def test_passes_arguments_and_sums_up(self, tmp_path: Path) -> None:
        app = written(
            tmp_path,
            "import sys\n"
            "import millstream as ms\n"
            "assert __name__ == '__main__'\n"
            "ssc = ms.StreamingContext(0.05)\n"
            "ssc.queue_stream([[1, 2], [3]]).map(lambda x: x * 10).foreach_rdd(lambda rdd: print(rdd.collect()))\n"
            "print(sys.argv[1:])\n"
            "ssc.start()\n"
            "while not ssc.await_termination(0.3):\n"
            "    ssc.stop()\n",
        )
        ended = run("run", app, "--live", "a b", "-x")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("['--live', 'a b', '-x']\n[10, 20]\n[30]\n")
        assert re.search(r"^millstream: main: \d+ batches, 3 records", ended.stderr, re.MULTILINE)
        assert "  total delay       p50 " in ended.stderr

    def test_finds_modules_beside_the_program(self, tmp_path: Path) -> None:
        (tmp_path / "beside.py").write_text("BATCHES = [[1]]\n")
        app = written(
            tmp_path,
            "import millstream as ms\n"
            "from beside import BATCHES\n"
            "with ms.StreamingContext(0.05) as ssc:\n"
            "    ssc.queue_stream(BATCHES).print()\n"
            "    ssc.start()\n",
        )
        assert run("run", app).returncode == 0

    @pytest.mark.parametrize("backend", ["threads", "processes"])
    def test_a_failing_stream_shows_the_users_lines_and_the_error(self, tmp_path: Path, backend: str) -> None:
        app = written(
            tmp_path,
            "import millstream as ms\n"
            f"ssc = ms.StreamingContext(0.05, backend={backend!r})\n"
            "def inverse(x):\n"
            "    return 1 / x\n"
            "ssc.queue_stream([[1, 0]]).map(inverse).print()\n"
            "ssc.run()\n",
        )
        ended = run("run", app)
        assert ended.returncode == 1
        assert "line 4, in inverse" in ended.stderr
        assert "\nZeroDivisionError: division by zero\nmillstream: The function of map raised" in ended.stderr
        assert ended.stderr.count("Detail: ") == 1
        assert f"{app}:5" in ended.stderr
        assert "millstream/python" not in ended.stderr
        assert "site-packages" not in ended.stderr

    @pytest.mark.parametrize("backend", ["threads", "processes"])
    def test_a_record_that_is_no_pair_needs_no_traceback(self, tmp_path: Path, backend: str) -> None:
        app = written(
            tmp_path,
            "import millstream as ms\n"
            f"ssc = ms.StreamingContext(0.05, backend={backend!r})\n"
            "ssc.queue_stream([[1]]).reduce_by_key(max).print()\n"
            "ssc.run()\n",
        )
        ended = run("run", app)
        assert ended.returncode == 1
        assert "worker.py" not in ended.stderr
        assert "millstream: reduce_by_key was given a record that is not a pair.\nDetail: " in ended.stderr

    def test_a_failure_that_the_program_ignores_is_told(self, tmp_path: Path) -> None:
        app = written(
            tmp_path,
            "import millstream as ms\n"
            "ssc = ms.StreamingContext(0.05)\n"
            "ssc.queue_stream([[0]]).map(lambda x: 1 / x).print()\n"
            "ssc.start()\n"
            "try:\n    ssc.await_termination()\nexcept ms.MillstreamError:\n    print('went on')\n",
        )
        ended = run("run", app)
        assert ended.returncode == 1
        assert "went on" in ended.stdout
        assert "division by zero" in ended.stderr

    def test_a_broken_program_shows_its_own_traceback(self, tmp_path: Path) -> None:
        ended = run("run", written(tmp_path, "import millstream as ms\n\nms.no_such_name\n"))
        assert ended.returncode == 1
        assert ended.stderr.startswith("Traceback (most recent call last):\n  File ")
        assert "line 3" in ended.stderr
        assert "runpy" not in ended.stderr
        assert "AttributeError" in ended.stderr

    def test_a_wrong_program_gets_the_hint(self, tmp_path: Path) -> None:
        ended = run("run", written(tmp_path, "import millstream as ms\nms.StreamingContext(1.0).run()\n"))
        assert ended.returncode == 1
        assert "line 2" in ended.stderr
        assert "The program has no output operation." in ended.stderr
        assert "Hint: " in ended.stderr

    def test_a_program_without_a_stream_is_told_so(self, tmp_path: Path) -> None:
        ended = run("run", written(tmp_path, "print('nothing to do')\n"))
        assert ended.returncode == 2
        assert ended.stdout == "nothing to do\n"
        assert "ended without starting a stream" in ended.stderr

    def test_a_programs_own_exit_status_counts_as_failure(self, tmp_path: Path) -> None:
        ended = run("run", written(tmp_path, "import sys\nsys.exit('no data today')\n"))
        assert ended.returncode == 1
        assert "no data today" in ended.stderr

    def test_a_stream_left_running_is_stopped(self, tmp_path: Path) -> None:
        app = written(
            tmp_path,
            "import millstream as ms\nssc = ms.StreamingContext(0.05)\nssc.queue_stream([[1]]).print()\nssc.start()\n",
        )
        ended = run("run", app)
        assert ended.returncode == 0, ended.stderr
        assert "ended while main was running" in ended.stderr

    def test_live_without_a_terminal_says_so_and_goes_on(self, tmp_path: Path) -> None:
        app = written(
            tmp_path,
            "import millstream as ms\n"
            "with ms.StreamingContext(0.05) as ssc:\n"
            "    ssc.queue_stream([[1]]).print()\n"
            "    ssc.start()\n",
        )
        ended = run("run", "--live", app)
        assert ended.returncode == 0, ended.stderr
        assert "--live needs a terminal" in ended.stderr

    def test_one_interrupt_finishes_what_was_received(self) -> None:
        with LineServer() as server:
            arguments = [*CLI, "run", "examples/network_word_count.py", "127.0.0.1", str(server.port)]
            with Program(arguments) as program:
                server.accept()
                server.send("to be")
                program.read_until(lambda line: "('be', 1)" in line)
                program.interrupt()
                status, complaint = program.end()
        assert status == 0, complaint
        assert "finishing what was received" in complaint
        assert "1 records" in complaint

    def test_two_interrupts_end_at_once(self, tmp_path: Path) -> None:
        app = written(
            tmp_path,
            "import threading\n"
            "import millstream as ms\n"
            "def stand(rdd):\n"
            "    print('standing', flush=True)\n"
            "    threading.Event().wait(5)\n"
            "ssc = ms.StreamingContext(0.05)\n"
            "ssc.queue_stream([[1]] * 100).foreach_rdd(stand)\n"
            "ssc.run()\n",
        )
        with Program([*CLI, "run", app]) as program:
            program.read_until(lambda line: line == "standing")
            program.interrupt()
            assert program.process.stderr is not None
            assert "finishing" in program.process.stderr.readline()
            program.interrupt()
            status, complaint = program.end()
        assert status == 130, complaint
        assert "Traceback" not in complaint

    def test_a_reader_that_goes_away_ends_it_quietly(self) -> None:
        with LineServer() as server:
            arguments = [*CLI, "run", "examples/network_word_count.py", "127.0.0.1", str(server.port)]
            with Program(arguments) as program:
                server.accept()
                program.read_until(lambda line: line.startswith("-"))
                assert program.process.stdout is not None
                program.process.stdout.close()
                assert program.process.stderr is not None
                complaint = program.process.stderr.read()
                assert program.process.wait(60) == 0
        assert "Traceback" not in complaint


class TestServeText:
    def test_serves_the_lines_of_a_file_again_and_again(self, tmp_path: Path) -> None:
        text = tmp_path / "text.txt"
        text.write_text("one\ntwo\n")
        with Program([*CLI, "serve-text", str(text), "--port", "0", "--rate", "1000"]) as program:
            said = program.read_until(lambda line: line.startswith("Serving"))
            port = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert port is not None
            with socket.create_connection(("127.0.0.1", int(port[1])), timeout=60) as client:
                received = client.makefile("rb")
                assert [received.readline() for _ in range(5)] == [b"one\n", b"two\n", b"one\n", b"two\n", b"one\n"]
            program.interrupt()
            status, complaint = program.end()
        assert (status, complaint) == (0, "")

    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ended = run("serve-text", "--port", str(port))
        assert ended.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
        assert "Hint: " in ended.stderr

    def test_its_process_ends_with_its_parent(self) -> None:
        arguments = [sys.executable, "-m", "millstream.demo.text_server", "--port", "0"]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["port"] > 0
            server.stdin.close()
            assert server.wait(60) == 0
