"""The code in the documents does what they say: every block of Python in them is run.

- Sessions (`>>> `) of a document are one doctest.
- Programs that read from a server get one: those with `kafka_stream` a broker, those with `socket_text_stream` a server
  of lines.
- Blocks with a `title="..."` are files that belong together; pytest runs the tests among them.
- Any other program has to end by itself.
"""

from __future__ import annotations

import doctest
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.integration.line_server import REPOSITORY, LineServer, Program
from tests.servers.kafka.kafka_tool import KafkaTool

DOCUMENTS = sorted([*Path(REPOSITORY).glob("[A-Z]*.md"), *Path(REPOSITORY, "docs").rglob("*.md")])

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

FILE_BLOCK = re.compile(r'^```python title="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")


def blocks(document: Path) -> list[tuple[int, str]]:
    text = document.read_text()
    return [(text.count("\n", 0, found.start()) + 1, found[1]) for found in BLOCK.finditer(text)]


def relative(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


SESSIONS = [document for document in DOCUMENTS if any(">>> " in code for _, code in blocks(document))]

PROGRAMS = [
    (f"{relative(document)}:{line}", code)
    for document in DOCUMENTS
    for line, code in blocks(document)
    if ">>> " not in code
]


def programs(*, on: str | None) -> list[Any]:
    """The programs that read from a server, by the method that does; None: those that read from none of them."""
    servers = ("kafka_stream", "socket_text_stream")
    return [
        pytest.param(code, id=name)
        for name, code in PROGRAMS
        if next((server for server in servers if server in code), None) == on
    ]


@pytest.mark.parametrize("document", SESSIONS, ids=relative)
def test_the_sessions_of_a_document(document: Path) -> None:
    text = "".join(
        "\n" * (line - before) + code for (line, code), before in _with_lines_before(blocks(document)) if ">>> " in code
    )
    test = doctest.DocTestParser().get_doctest(text, {}, relative(document), str(document), 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


def _with_lines_before(code_blocks: list[tuple[int, str]]) -> list[tuple[tuple[int, str], int]]:
    """Pair each block with the number of lines that come before it once blank lines fill the gaps."""
    pairs, written = [], 0
    for line, code in code_blocks:
        if ">>> " in code:
            pairs.append(((line, code), written))
            written = line + code.count("\n")
    return pairs


@pytest.mark.parametrize("code", programs(on="kafka_stream"))
def test_a_program_of_a_document_on_kafka(code: str, tmp_path: Path, kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["to be or not to be"])
    app = tmp_path / "app.py"
    app.write_text(code.replace("localhost:9092", kafka.servers).replace('topics=["lines"]', f'topics=["{topic}"]'))
    with Program([str(app)], cwd=tmp_path) as program:
        program.read_until(lambda line: "('be', 2)" in line)
        program.interrupt()
        status, complaint = program.end()
    assert status == 0, complaint


@pytest.mark.parametrize("code", programs(on="socket_text_stream"))
def test_a_program_of_a_document_on_a_socket(code: str, tmp_path: Path) -> None:
    with LineServer() as server:
        app = tmp_path / "app.py"
        code = re.sub(r'"localhost", \d+', f'"127.0.0.1", {server.port}', code)
        app.write_text(code.replace('"/tmp/', f'"{tmp_path}/'))
        with Program([str(app)], cwd=tmp_path) as program:
            server.accept()
            server.send("to be or not to be")
            program.read_until(lambda line: "('be', 2)" in line)
            program.interrupt()
            status, complaint = program.end()
    assert status == 0, complaint


@pytest.mark.parametrize("code", programs(on=None))
def test_a_program_of_a_document_that_ends_by_itself(code: str, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(code.replace('"/tmp/', f'"{tmp_path}/'))
    with Program([str(app)], cwd=tmp_path) as program:
        status, complaint = program.end()
    assert status == 0, complaint


FILES = [document for document in DOCUMENTS if FILE_BLOCK.search(document.read_text())]


@pytest.mark.parametrize("document", FILES, ids=relative)
def test_the_files_of_a_document(document: Path, tmp_path: Path) -> None:
    for name, code in FILE_BLOCK.findall(document.read_text()):
        (tmp_path / name).write_text(code)
    arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)]
    with Program(["-m", "pytest", *arguments]) as program:
        status, complaint = program.end()
    assert status == 0, "\n".join([*program.seen, complaint])


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_links_of_a_document_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(FENCE.sub("", document.read_text()))
    assert [target for target in targets if not (document.parent / target).exists()] == []


FILE = re.compile(r"`((?:python/millstream|crates|tests|docs|examples|benchmarks)/[\w./-]*)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_files_that_a_document_names_exist(document: Path) -> None:
    named = FILE.findall(document.read_text())
    assert [path for path in named if not Path(REPOSITORY, path).exists()] == []


def test_the_map_shows_every_room() -> None:
    text = Path(REPOSITORY, "ARCHITECTURE.md").read_text()
    package = Path(REPOSITORY, "python", "millstream")
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    assert [room for room in rooms if f"`{room}/`" not in text] == []


def test_the_methods_that_the_migration_guide_names_exist() -> None:
    import millstream as ms

    text = Path(REPOSITORY, "docs", "migration.md").read_text()
    for heading, owner in (("StreamingContext", ms.StreamingContext), ("DStream", ms.DStream), ("RDD", ms.RDD)):
        table = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        cells = [row.split(" | ")[1] for row in table.splitlines() if row.startswith("| ") and row.count(" | ") >= 2]
        named = {name for cell in cells for name in re.findall(r"`(?:ssc\.|ms\.\w+\.)?([a-z]\w*)", cell)}
        assert len(named) >= 15
        assert [name for name in sorted(named - {"context", "ms"}) if not hasattr(owner, name)] == []


def test_the_page_of_listeners_has_every_event_with_its_attributes() -> None:
    from millstream.observe import events

    text = Path(REPOSITORY, "docs", "listeners.md").read_text()
    rows = {
        name: row
        for row in text.splitlines()
        if row.startswith("| ")
        for name in re.findall(r"`([A-Z]\w+)`", row.partition(" | ")[0])
    }
    assert set(rows) == {kind.__name__ for kind in get_args(events.Event)}
    for kind in get_args(events.Event):
        if kind is not events.OutputCompleted:  # "The same as OutputStarted, and ..."
            public = {name for name in dir(kind) if not name.startswith("_")}
            assert public <= set(re.findall(r"`(\w+)`", rows[kind.__name__])), kind


def test_the_reference_has_every_public_name() -> None:
    import millstream as ms
    from millstream import errors
    from millstream.observe import events

    text = "".join(path.read_text() for path in Path(REPOSITORY, "docs", "api").glob("*.md"))
    listed = {*re.findall(r"(?m)^::: millstream\.(\w+)$", text), *dir(errors), *dir(events)}
    assert {"::: millstream.errors", "::: millstream.observe.events"} <= set(text.splitlines())
    assert sorted(set(ms.__all__) - listed) == []
