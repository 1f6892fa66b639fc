"""A schema registry: the part of its HTTP interface that serializers and decoders speak."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf import descriptor_pb2

JSON = "application/vnd.schemaregistry.v1+json"


class Registry:
    """Schemas by number, and by subject and version.

    Attributes:
        url: where it listens.
        asked: paths of the questions, in order.
        user: `name:password` that callers must give, or None.
        status: answered to everything, where it is not None.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.user: str | None = None
        self.status: int | None = None
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}

    def register(self, subject: str, said: dict[str, Any]) -> dict[str, Any]:
        schema = {
            "schema": said["schema"],
            "schemaType": said.get("schemaType") or "AVRO",
            "references": said.get("references") or [],
        }
        if schema not in self._schemas:
            self._schemas.append(schema)
        number = self._schemas.index(schema) + 1
        versions = self._subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return self._told(number, subject, versions.index(number) + 1)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, dict[str, Any]]:
        form = query.get("format", [None])[0]
        if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
            number = int(found[1])
            if not 0 < number <= len(self._schemas):
                return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
            return 200, self._formed(self._told(number), form)
        if found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", path):
            versions = self._subjects.get(found[1], [])
            version = int(found[2])
            if not 0 < version <= len(versions):
                return 404, {"error_code": 40402, "message": "Version not found"}
            return 200, self._formed(self._told(versions[version - 1], found[1], version), form)
        if (found := re.fullmatch(r"/subjects/([^/]+)(/versions)?", path)) and method == "POST":
            return 200, self.register(found[1], body)
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _told(self, number: int, subject: str | None = None, version: int | None = None) -> dict[str, Any]:
        schema = {key: value for key, value in self._schemas[number - 1].items() if value and value != "AVRO"}
        placed = {} if subject is None else {"subject": subject, "version": version}
        return {**schema, **placed, "id": number}

    def _formed(self, told: dict[str, Any], form: str | None) -> dict[str, Any]:
        # What serializers register as a serialized descriptor is asked for as text by those who want text.
        if told.get("schemaType") == "PROTOBUF" and form != "serialized":
            file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(told["schema"]))
            return {**told, "schema": f"// the text of {file.name}"}
        return told


@contextmanager
def schema_registry() -> Iterator[Registry]:
    """Run a registry."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", None)

        def do_POST(self) -> None:
            self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, method: str, body: Any) -> None:
            parts = urlsplit(self.path)
            registry.asked.append(self.path)
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if registry.status is not None:
                status, said = registry.status, {"error_code": 50001, "message": "error in the backend"}
            elif registry.user is not None and base64.b64decode(given).decode() != registry.user:
                status, said = 401, {"error_code": 401, "message": f"who is {given}?"}
            else:
                status, said = registry.answer(method, parts.path, parse_qs(parts.query), body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
