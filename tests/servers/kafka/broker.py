"""Apache Kafka brokers as children of the test session."""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

HERE = Path(__file__).parent
KAFKA = HERE.parents[2] / ".kafka"
LIBRARIES = KAFKA / "libs"

USER, PASSWORD = "alice", "alice-secret-of-the-tests"

_ARCHIVE = KAFKA / "classes.jsa"
_READY_TIMEOUT_S = 60.0
_PR_SET_PDEATHSIG = 1


def missing() -> str | None:
    """Say why no broker can be started on this machine, or None."""
    if shutil.which("java") is None:
        return "there is no java on PATH (Debian, Ubuntu: apt install openjdk-17-jre-headless)"
    if not LIBRARIES.is_dir() or not any(LIBRARIES.glob("kafka_2.13-*.jar")):
        return "the jars of Kafka are not in .kafka/libs: `make kafka` brings them (it needs Maven)"
    return None


@dataclass(frozen=True)
class Node:
    """One node of a cluster: broker and controller.

    Attributes:
        number: from 1.
        port: of the plain listener.
        secure_port: of the listener with TLS and SASL, or None.
        controller_port: of the controller.
        directory: configuration and data.
    """

    number: int
    port: int
    secure_port: int | None
    controller_port: int
    directory: Path

    @property
    def listeners(self) -> str:
        plain = f"PLAINTEXT://127.0.0.1:{self.port}"
        return plain if self.secure_port is None else f"{plain},SASL_SSL://127.0.0.1:{self.secure_port}"


class KafkaCluster:
    """Brokers of one cluster, each a process that dies with this one.

    Args:
        directory: where configuration, data and logs go.
        brokers: how many.
        secure: give each a listener with TLS and SASL (SCRAM-SHA-512) as well.
        java_options: more options of the brokers' virtual machines.
        session_ms: after so long without a sign of life a broker is taken for dead: one that is killed should be soon,
            one that is not should outlive a busy machine.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        *,
        secure: bool = False,
        java_options: Sequence[str] = (),
        session_ms: int = 1_000,
    ) -> None:
        self.directory = directory
        self._session_ms = session_ms
        self._java_options = java_options
        self._cluster_id = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()
        ports = iter(_free_ports(3 * brokers))
        self.nodes = [
            Node(number, next(ports), next(ports) if secure else None, next(ports), directory / f"node-{number}")
            for number in range(1, brokers + 1)
        ]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        if secure:
            _make_certificates(directory)

    @property
    def servers(self) -> str:
        """The plain listeners, as clients want them."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @property
    def pids(self) -> list[int]:
        """The processes of the brokers that run."""
        return [process.pid for _, process in sorted(self._processes.items())]

    @property
    def secure_servers(self) -> str:
        """The listeners with TLS and SASL."""
        return ",".join(f"127.0.0.1:{node.secure_port}" for node in self.nodes)

    @property
    def secure_options(self) -> dict[str, str]:
        """What a client of these listeners has to say."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.directory / "ca.pem"),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }

    def start(self) -> None:
        """Format and start all brokers, and wait until they answer."""
        for node in self.nodes:
            self._format(node)
        for node in self.nodes:
            self._launch(node)
        self.wait_ready()

    def start_node(self, number: int, *, wait: bool = True) -> None:
        """Start a broker that was killed, on its data, and wait until it answers.

        Call it in a thread that lives as long as the broker should: it dies with the one that started it.
        """
        self._launch(self._node(number))
        if wait:
            self.wait_ready()

    def kill(self, number: int = 1) -> None:
        """Kill a broker with SIGKILL."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def pause(self, number: int = 1) -> None:
        """Have a broker stand still."""
        self._processes[number].send_signal(signal.SIGSTOP)

    def resume(self, number: int = 1) -> None:
        """Have a broker that stands still go on."""
        self._processes[number].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End all brokers. Safe to call twice."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def wait_ready(self) -> None:
        """Wait until every broker that runs is known to the cluster."""
        running = [node for node in self.nodes if node.number in self._processes]
        servers = ",".join(f"127.0.0.1:{node.port}" for node in running)
        # Why a callback: the client would write its errors to stderr until the broker is there.
        options: Any = {"bootstrap.servers": servers, "error_cb": _ignored, "log_level": 0}
        admin = AdminClient(options)
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            try:
                known = admin.list_topics(timeout=1.0).brokers
                if len(known) >= len(running):
                    return
            except KafkaException:
                pass
            for node in running:
                if self._processes[node.number].poll() is not None:
                    raise RuntimeError(f"The broker {node.number} ended: {self._said(node)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"The brokers did not get ready: {[self._said(node) for node in running]}")

    def _node(self, number: int) -> Node:
        return self.nodes[number - 1]

    def _said(self, node: Node) -> str:
        return (node.directory / "broker.log").read_text(errors="replace")[-2_000:]

    def _format(self, node: Node) -> None:
        (node.directory / "data").mkdir(parents=True)
        text = (HERE / "server.properties").read_text()
        for name, value in {
            "NODE": str(node.number),
            "VOTERS": ",".join(f"{other.number}@127.0.0.1:{other.controller_port}" for other in self.nodes),
            "LISTENERS": node.listeners,
            "CONTROLLER_PORT": str(node.controller_port),
            "DIRECTORY": str(node.directory),
            "REPLICAS": str(min(3, len(self.nodes))),
            "SESSION": str(self._session_ms),
        }.items():
            text = text.replace(f"@{name}@", value)
        if node.secure_port is not None:
            text += _SECURE.replace("@DIRECTORY@", str(self.directory))
        properties = node.directory / "server.properties"
        properties.write_text(text)
        command = [*_java("format"), "kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", str(properties)]
        if node.secure_port is not None:
            command += ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"A broker's directory could not be formatted: {done.stdout}{done.stderr}")

    def _launch(self, node: Node) -> None:
        properties = node.directory / "server.properties"
        with (node.directory / "broker.log").open("ab") as log:
            self._processes[node.number] = subprocess.Popen(
                [*_java("broker", self._java_options), "kafka.Kafka", str(properties)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
            )


_SECURE = """
ssl.keystore.type=PEM
ssl.keystore.location=@DIRECTORY@/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=@DIRECTORY@/ca.pem
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""


def _java(purpose: str, options: Sequence[str] = ()) -> Sequence[str]:
    # The archive of classes halves the time to start; `make kafka` makes it, and without it all works the same.
    archive = [f"-XX:SharedArchiveFile={_ARCHIVE}", "-Xshare:auto"] if _ARCHIVE.exists() else []
    memory = "-Xmx64m" if purpose == "format" else "-Xmx384m"
    flags = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", memory, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    return ["java", *flags, *archive, *options, "-cp", f"{LIBRARIES}/*"]


def _die_with_parent() -> None:
    # Linux only; elsewhere the session's end stops the brokers.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)


def _ignored(_: object) -> None:
    pass


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _make_certificates(directory: Path) -> None:
    """Make a certificate authority and a certificate for 127.0.0.1, in PEM."""
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    openssl(*new, "-x509", "-days", "30", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (directory / "san.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "san.ext"]
    openssl("x509", "-req", "-in", "server.csr", *authority, "-out", "server.crt")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "server.key", "-out", "server.pk8")
    chain = (directory / "server.pk8").read_text() + (directory / "server.crt").read_text()
    (directory / "server.pem").write_text(chain)
