"""The code in the documents does what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from tests.integration.line_server import REPOSITORY, LineServer, Program
from tests.servers.kafka.kafka_tool import KafkaTool

DOCUMENTS = sorted([*Path(REPOSITORY).glob("[A-Z]*.md"), *Path(REPOSITORY, "docs").rglob("*.md")])

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")


def blocks(document: Path) -> list[tuple[int, str]]:
    text = document.read_text()
    return [(text.count("\n", 0, found.start()) + 1, found[1]) for found in BLOCK.finditer(text)]


def relative(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


SESSIONS = [document for document in DOCUMENTS if any(">>> " in code for _, code in blocks(document))]

KAFKA_PROGRAMS, PROGRAMS = (
    [
        pytest.param(code, id=f"{relative(document)}:{line}")
        for document in DOCUMENTS
        for line, code in blocks(document)
        if ">>> " not in code and ("kafka_stream" in code) == on_kafka
    ]
    for on_kafka in (True, False)
)


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


@pytest.mark.parametrize("code", KAFKA_PROGRAMS)
def test_a_program_of_a_document_on_kafka(code: str, tmp_path: Path, kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["to be or not to be"])
    app = tmp_path / "app.py"
    app.write_text(code.replace("localhost:9092", kafka.servers).replace('topics=["lines"]', f'topics=["{topic}"]'))
    with Program([str(app)]) as program:
        program.read_until(lambda line: "('be', 2)" in line)
        program.interrupt()
        status, complaint = program.end()
    assert status == 0, complaint


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_program_of_a_document(code: str, tmp_path: Path) -> None:
    assert "socket_text_stream" in code, "a program in a document listens to a socket, so that it can be tried"
    with LineServer() as server:
        app = tmp_path / "app.py"
        app.write_text(re.sub(r'"localhost", \d+', f'"127.0.0.1", {server.port}', code))
        with Program([str(app)]) as program:
            server.accept()
            server.send("to be or not to be")
            program.read_until(lambda line: "('be', 2)" in line)
            program.interrupt()
            status, complaint = program.end()
    assert status == 0, complaint


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_links_of_a_document_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text())
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
