"""Files on object stores: a real S3 server, and stores that do not do what they should."""

from __future__ import annotations

import pickle
import re
import traceback
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.servers.s3_server import SECRET, S3Server

import millstream as ms
from millstream.environment.obstore_client import ObstoreClient
from millstream.environment.rng import seeded_rng
from millstream.errors import (
    ConfigurationError,
    DataError,
    MillstreamError,
    SinkUnavailableError,
)
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.object_sink_directory import ObjectSinkDirectory
from millstream.sinks.read_committed import committed_batches, read_committed
from millstream.sinks.text_files import TextFiles
from millstream.testing import run_batches
from millstream.testing.simulation.objects import SimulatedBucket

LINEAGE = SinkLineage("lineage-1", "words", epoch=1)
T1, T2 = 1_763_801_714_000, 1_763_801_716_000


def write(sink: ManifestFiles[Any], time_ms: int, *parts: Sequence[Any], attempt: int = 0) -> None:
    batch = Batch(time_ms, attempt)
    sink.commit(batch, [sink.stage(batch, index, Partition(list(part))) for index, part in enumerate(parts)])


def keys(server: S3Server, url: str) -> list[str]:
    bucket = url.removeprefix("s3://").partition("/")[0]
    with urllib.request.urlopen(f"{server.endpoint}/{bucket}?list-type=2") as answer:
        return re.findall(r"<Key>([^<]*)</Key>", answer.read().decode())


@pytest.fixture
def url(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/out/words"


def test_a_program_writes_objects_once(s3_server: S3Server, url: str, backend_name: str) -> None:
    options = s3_server.options

    def program(ssc: ms.StreamingContext, words: ms.DStream[str]) -> ms.DStream[Any]:
        words.save_as_json_files(url, storage_options=options, name="words")
        return words

    run_batches(program, [["to", "be"], [], ["or"]], backend=backend_name)
    assert ms.read_committed(url, storage_options=options) == ["to", "be", "or"]


def test_what_no_manifest_names_is_removed_at_the_next_start(s3_server: S3Server, url: str) -> None:
    sink = TextFiles(url, storage_options=s3_server.options)
    sink.open(LINEAGE)
    write(sink, T1, ["a"], ["b"])
    sink.stage(Batch(T1, 0), 0, Partition(["zombie"]))
    sink.stage(Batch(T2), 0, Partition(["never committed"]))
    assert len([key for key in keys(s3_server, url) if key.endswith(".txt")]) == 4
    assert TextFiles(url, storage_options=s3_server.options).open(LINEAGE) == T1
    (committed,) = committed_batches(url, storage_options=s3_server.options)
    data = sorted(key for key in keys(s3_server, url) if key.endswith(".txt"))
    assert data == sorted(f"out/words/{file.path}" for file in committed.files)
    assert [key for key in keys(s3_server, url) if "probe" in key] == []


def test_a_prefix_for_folders_of_batches(s3_server: S3Server, url: str) -> None:
    options = s3_server.options
    sink = TextFiles.by_prefix(f"{url}/counts", "txt", storage_options=options)
    sink.open(LINEAGE)
    write(sink, T1, ["a"])
    assert any(f"words/counts-{T1}.txt/" in key for key in keys(s3_server, url))
    assert read_committed(f"{url}/counts", storage_options=options) == ["a"]
    assert read_committed(url, storage_options=options) == ["a"]
    with pytest.raises(ConfigurationError, match="No file sink ever wrote there"):
        read_committed(f"{url}/counts/deeper/still", storage_options=options)


def test_a_missing_object_is_found_missing(s3_server: S3Server, url: str) -> None:
    options = s3_server.options
    sink = TextFiles(url, storage_options=options)
    sink.open(LINEAGE)
    write(sink, T1, ["a"])
    (committed,) = committed_batches(url, storage_options=options)
    ObjectSinkDirectory(url, options).remove([committed.files[0].path])
    with pytest.raises(DataError, match="is missing"):
        read_committed(url, storage_options=options)


def test_a_bucket_that_is_not_there(s3_server: S3Server) -> None:
    with pytest.raises(ConfigurationError, match="bucket or container"):
        TextFiles("s3://none/out", storage_options=s3_server.options).open(LINEAGE)


def test_a_store_that_does_not_answer_may_come_back(s3_server: S3Server, url: str) -> None:
    options = {**s3_server.options, "endpoint": "http://127.0.0.1:1", "connect_timeout": "1s"}
    sink = TextFiles(url, storage_options=options)
    sink._directory_made = ObjectSinkDirectory(url, client=ObstoreClient(url, options, retry_s=0.05), retry_s=0.05)
    with pytest.raises(SinkUnavailableError, match="could not be prepared"):
        sink.open(LINEAGE)


def simulated(bucket: SimulatedBucket, seed: int, rate: float, epoch: int = 1) -> tuple[TextFiles, SinkLineage]:
    """Make a sink whose requests to a bucket go wrong."""
    client = bucket.client(seeded_rng(seed), rate=rate)
    sink = TextFiles("memory://simulated")
    sink._directory_made = ObjectSinkDirectory("memory://simulated", client=client, pause=lambda seconds: None)
    return sink, SinkLineage("lineage-1", "words", epoch)


def test_a_store_without_conditional_create_is_refused() -> None:
    sink, lineage = simulated(SimulatedBucket(conditional=False), seed=1, rate=0.0)
    with pytest.raises(ConfigurationError, match="does not keep to conditional puts"):
        sink.open(lineage)


def again(step: Callable[..., Any], *arguments: Any) -> Any:
    """Try a step again as the engine does, until it goes through."""
    for _ in range(200):
        try:
            return step(*arguments)
        except SinkUnavailableError:
            continue
    raise AssertionError("it never goes through")


@pytest.mark.parametrize("seed", range(40))
def test_requests_that_go_wrong_change_nothing(seed: int) -> None:
    bucket = SimulatedBucket()
    times = [T1 + 500 * number for number in range(12)]
    sink, lineage = simulated(bucket, seed, rate=0.1)
    committed = again(sink.open, lineage)
    assert committed is None
    for number, time_ms in enumerate(times):
        if number % 4 == 3:
            sink, lineage = simulated(bucket, seed * 100 + number, rate=0.1, epoch=number)
            assert again(sink.open, lineage) == times[number - 1]
        for attempt in range(200):
            try:
                parts: list[Partition[Any]] = [Partition([f"{time_ms} {index}"]) for index in range(2)]
                batch = Batch(time_ms, attempt)
                receipts = [sink.stage(batch, index, part) for index, part in enumerate(parts)]
                break
            except SinkUnavailableError:
                continue
        again(sink.commit, batch, receipts)
    reader, lineage = simulated(bucket, seed=0, rate=0.0, epoch=99)
    assert reader.open(lineage) == times[-1]
    manifests = list(reader._log.all())
    assert [manifest.time_ms for manifest in manifests] == times
    read = [reader._directory.read(file.path) for manifest in manifests for file in manifest.files]
    assert read == [f"{time_ms} {index}\n".encode() for time_ms in times for index in range(2)]


def test_secrets_are_in_no_error_and_no_name(s3_server: S3Server, url: str) -> None:
    told: list[MillstreamError] = []
    for place, options in (
        (url, {**s3_server.options, "no_such_setting": SECRET}),
        ("s3://none/out", s3_server.options),
        (url.replace("s3://", f"s3://key:{SECRET}@none-"), s3_server.options),
    ):
        sink = TextFiles(place, storage_options=options)
        assert SECRET not in sink.name + repr(sink)
        with pytest.raises(MillstreamError) as caught:
            sink.open(LINEAGE)
        told.append(caught.value)
    for error in told:
        assert SECRET not in "".join(traceback.format_exception(error))


def test_objects_in_memory_are_of_one_process(url: str) -> None:
    sink = TextFiles("memory://one-process")
    sink.open(LINEAGE)
    receipt = sink.stage(Batch(T1), 0, Partition(["a"]))
    with pytest.raises(ConfigurationError, match="one process only"):
        sink.commit(Batch(T1), [{**receipt, "path": receipt["path"].replace("-p00000", "-p00001")}])


def test_an_open_sink_travels(s3_server: S3Server, url: str) -> None:
    sink = TextFiles(url, storage_options=s3_server.options)
    sink.open(LINEAGE)
    copy = pickle.loads(pickle.dumps(sink))
    sink.commit(Batch(T1), [copy.stage(Batch(T1), 0, Partition(["a"]))])
    assert read_committed(url, storage_options=s3_server.options) == ["a"]
