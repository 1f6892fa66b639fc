"""A real PostgreSQL server for one session of tests."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDED = ("initdb", "postgres")
PDEATHSIG = 1


def binary(name: str) -> str | None:
    """Give the path of one of the server's programs, which some systems keep beside the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or next((str(found / name) for found in folders if (found / name).exists()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """One server on a free port, with its data in a new directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.user = "nobody" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[str] | None = None
        if self.user is not None:
            # The server refuses to run as root.
            entry = pwd.getpwnam(self.user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)

    def url(self, database: str = "postgres", user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql+psycopg://{user}@127.0.0.1:{port or self.port}/{database}"

    def do(self, statement: str) -> None:
        """Run a statement as the owner of the server."""
        import psycopg

        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement.encode())

    def make(self) -> None:
        subprocess.run(
            [str(binary("initdb")), *f"-U postgres -A trust -N --locale=C.UTF-8 -E UTF8 -D {self.folder}/data".split()],
            user=self.user,
            cwd="/",
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start the server and wait until it says that it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "shared_buffers": "32MB",
            "password_encryption": "scram-sha-256",
            # What the tests wait for is said in English.
            "lc_messages": "C",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        process = subprocess.Popen(
            [str(binary("postgres")), "-D", str(self.folder / "data"), "-p", str(self.port), *options],
            user=self.user,
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_die_with_parent if os.uname().sysname == "Linux" else None,
        )
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise RuntimeError(f"The server did not start: {''.join(said)}")
        self._process = process
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def kill(self) -> None:
        """Kill the server as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Give a server; skip the test where there is none to run, but never in continuous integration."""
    missing = [name for name in NEEDED if binary(name) is None]
    if missing:
        text = f"no PostgreSQL server here: {', '.join(missing)} not found"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    folder = Path(tempfile.mkdtemp(prefix="millstream-postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
