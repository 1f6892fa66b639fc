from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.environment.local_directory import LocalDirectory
from millstream.errors import (
    ConfigurationError,
    DataError,
    FencedError,
    LifecycleError,
    SinkUnavailableError,
)
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.read_committed import committed_batches, read_committed
from millstream.sinks.text_files import TextFiles

LINEAGE = SinkLineage("lineage-1", "word counts", epoch=1)
T1, T2 = 1_763_801_714_000, 1_763_801_716_000
HOUR = "2025-11-22T08"


def opened(sink: ManifestFiles[Any], lineage: SinkLineage = LINEAGE) -> ManifestFiles[Any]:
    sink.open(lineage)
    return sink


def write(sink: ManifestFiles[Any], time_ms: int, *parts: list[str], attempt: int = 0) -> list[Any]:
    batch = Batch(time_ms, attempt)
    receipts = [sink.stage(batch, index, Partition(part)) for index, part in enumerate(parts)]
    sink.commit(batch, receipts)
    return receipts


def data_files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*.txt") if file.is_file())


def test_data_files_carry_output_time_epoch_attempt_and_partition(tmp_path: Path) -> None:
    write(opened(TextFiles(tmp_path)), T1, ["a"], ["b"], attempt=2)
    assert data_files(tmp_path) == [
        f"{HOUR}/word-counts-097a78f96fb2-{T1}-e1-a2-p00000-0.txt",
        f"{HOUR}/word-counts-097a78f96fb2-{T1}-e1-a2-p00001-0.txt",
    ]


def test_a_folder_for_each_batch_by_prefix(tmp_path: Path) -> None:
    sink = opened(TextFiles.by_prefix(tmp_path / "counts", "txt"))
    write(sink, T1, ["a"])
    write(sink, T2, ["b"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_millstream", f"counts-{T1}.txt", f"counts-{T2}.txt"]
    assert read_committed(tmp_path / "counts") == ["a", "b"]
    assert read_committed(tmp_path) == ["a", "b"]
    write(opened(TextFiles.by_prefix(tmp_path / "other"), SinkLineage("lineage-1", "other")), T1, ["c"])
    assert read_committed(tmp_path / "counts") == ["a", "b"]
    assert read_committed(tmp_path / "other") == ["c"]


def test_a_prefix_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names no file"):
        TextFiles.by_prefix(f"{tmp_path}/")


def test_an_empty_batch_writes_nothing_unless_asked_to(tmp_path: Path) -> None:
    sink = opened(TextFiles(tmp_path / "a"))
    write(sink, T1, [], [])
    assert list(committed_batches(tmp_path / "a")) == []
    assert read_committed(tmp_path / "a") == []
    sink = opened(TextFiles(tmp_path / "b", empty_batches=True))
    write(sink, T1, [], [])
    assert [(batch.time_ms, batch.files) for batch in committed_batches(tmp_path / "b")] == [(T1, [])]
    assert TextFiles(tmp_path / "b").open(LINEAGE) == T1


def test_manifests_say_whose_batch_it_is(tmp_path: Path) -> None:
    write(opened(TextFiles(tmp_path)), T1, ["a", "ß"], attempt=3)
    (batch,) = committed_batches(tmp_path)
    assert (batch.kind, batch.lineage_id, batch.output, batch.epoch) == ("text", "lineage-1", "word counts", 1)
    assert (batch.time_ms, batch.attempt) == (T1, 3)
    assert [(file.records, file.size_bytes) for file in batch.files] == [(2, 5)]


def test_what_no_manifest_names_is_removed_at_the_next_start(tmp_path: Path) -> None:
    sink = opened(TextFiles(tmp_path))
    kept = write(sink, T1, ["a"], ["b"], attempt=1)
    sink.stage(Batch(T1, 0), 0, Partition(["zombie"]))
    sink.stage(Batch(T1, 1), 0, Partition(["zombie"]))
    sink.stage(Batch(T2, 0), 0, Partition(["never committed"]))
    assert len(data_files(tmp_path)) == 5
    assert TextFiles(tmp_path).open(LINEAGE) == T1
    assert data_files(tmp_path) == sorted(receipt["path"] for receipt in kept)


def test_leftovers_of_a_first_batch_are_removed_too(tmp_path: Path) -> None:
    opened(TextFiles(tmp_path)).stage(Batch(T1, 0), 0, Partition(["never committed"]))
    assert TextFiles(tmp_path).open(LINEAGE) is None
    assert data_files(tmp_path) == []


def test_leftovers_by_prefix_are_removed_with_their_folder(tmp_path: Path) -> None:
    sink = opened(TextFiles.by_prefix(tmp_path / "counts"))
    write(sink, T1, ["a"])
    sink.stage(Batch(T2, 0), 0, Partition(["never committed"]))
    opened(TextFiles.by_prefix(tmp_path / "counts"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_millstream", f"counts-{T1}"]


def test_files_of_other_outputs_histories_and_people_are_left_alone(tmp_path: Path) -> None:
    sink = opened(TextFiles(tmp_path))
    write(sink, T1, ["a"])
    opened(TextFiles(tmp_path), SinkLineage("lineage-2", "word counts")).stage(Batch(T2), 0, Partition(["b"]))
    opened(TextFiles(tmp_path), SinkLineage("lineage-1", "other")).stage(Batch(T2), 0, Partition(["c"]))
    (tmp_path / HOUR / "notes.txt").write_text("mine")
    before = data_files(tmp_path)
    opened(TextFiles(tmp_path))
    assert data_files(tmp_path) == before
    assert len(before) == 4


def test_a_losing_attempt_is_removed_when_it_learns_that_it_lost(tmp_path: Path) -> None:
    sink = opened(TextFiles(tmp_path))
    kept = write(sink, T1, ["a"])
    write(sink, T1, ["b"], attempt=1)
    assert data_files(tmp_path) == [kept[0]["path"]]


def test_discarding_by_prefix_removes_the_folder(tmp_path: Path) -> None:
    sink = opened(TextFiles.by_prefix(tmp_path / "counts"))
    receipt = sink.stage(Batch(T1), 0, Partition(["a"]))
    sink.discard(Batch(T1), [receipt, None])
    assert [path.name for path in tmp_path.iterdir()] == ["_millstream"]


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    write(opened(TextFiles(tmp_path)), T1, ["a"])
    assert list(tmp_path.glob("_millstream/*/temporary/*")) == []
    stale = next(tmp_path.glob("_millstream/*/temporary")) / "stale"
    stale.write_text("half a manif")
    opened(TextFiles(tmp_path))
    assert not stale.exists()


def test_the_newest_batch_is_found_behind_an_empty_hour(tmp_path: Path) -> None:
    sink = opened(TextFiles(tmp_path))
    write(sink, T1, ["a"])
    (next(tmp_path.glob("_millstream/word-counts-*")) / "2025-11-22T23").mkdir()
    assert TextFiles(tmp_path).open(LINEAGE) == T1


def test_an_older_driver_is_fenced_by_the_open_of_a_newer_one(tmp_path: Path) -> None:
    old = opened(TextFiles(tmp_path))
    receipts = [old.stage(Batch(T1), 0, Partition(["a"]))]
    opened(TextFiles(tmp_path), SinkLineage("lineage-1", "word counts", epoch=2))
    with pytest.raises(FencedError, match="Another driver writes this output"):
        old.commit(Batch(T1), receipts)
    with pytest.raises(FencedError):
        TextFiles(tmp_path).open(LINEAGE)


def test_an_older_driver_that_slept_between_its_check_and_its_commit_is_fenced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = opened(TextFiles(tmp_path))
    receipts = [old.stage(Batch(T1), 0, Partition(["old"]))]
    create = TextFiles._create_manifest

    def wake_late(self: TextFiles, *arguments: Any) -> bool:
        monkeypatch.undo()
        write(opened(TextFiles(tmp_path), SinkLineage("lineage-1", "word counts", epoch=2)), T1, ["new"])
        return create(self, *arguments)

    monkeypatch.setattr(TextFiles, "_create_manifest", wake_late)
    with pytest.raises(FencedError):
        old.commit(Batch(T1), receipts)
    assert read_committed(tmp_path) == ["new"]


@pytest.mark.parametrize("url", ["hdfs://me:s3cret@host/out", "file:///out", "https://host/out?sig=s3cret"])
def test_a_url_of_what_cannot_create_exclusively_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="create conditionally") as caught:
        TextFiles(url)
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_a_local_directory_takes_no_settings_of_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="storage_options with access_key_id") as caught:
        TextFiles(tmp_path, storage_options={"access_key_id": "s3cret"}).open(LINEAGE)
    assert "s3cret" not in str(caught.value)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        TextFiles(tmp_path / "file" / "out").open(LINEAGE)
    assert caught.value.detail is not None
    assert "Not a directory" in caught.value.detail


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ConfigurationError, match="cannot create a file under a name that is free"):
        TextFiles(tmp_path).open(LINEAGE)


def test_a_full_disk_is_reported_as_passing_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(TextFiles(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkUnavailableError, match="could not be written") as caught:
        sink.stage(Batch(T1), 0, Partition(["a"]))
    assert "No space left" in str(caught.value)
    monkeypatch.undo()
    assert data_files(tmp_path) == []


def test_a_commit_whose_sync_failed_is_finished_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(TextFiles(tmp_path))
    receipts = [sink.stage(Batch(T1), 0, Partition(["a"]))]
    sync = LocalDirectory.sync

    def fail_behind_the_link(self: LocalDirectory, path: str) -> None:
        if path.startswith("_millstream"):
            raise OSError(5, "Input/output error")
        sync(self, path)

    monkeypatch.setattr(LocalDirectory, "sync", fail_behind_the_link)
    with pytest.raises(SinkUnavailableError):
        sink.commit(Batch(T1), receipts)
    synced: list[str] = []
    monkeypatch.setattr(LocalDirectory, "sync", lambda self, path: synced.append(path))
    sink.commit(Batch(T1), receipts)
    assert any(path.startswith("_millstream") for path in synced)
    assert read_committed(tmp_path) == ["a"]


def test_data_and_folders_are_durable_before_the_manifest_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def noted_fsync(descriptor: int) -> None:
        steps.append("sync " + os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(tmp_path)))
        fsync(descriptor)

    def noted_link(source: str, target: str) -> None:
        steps.append(f"link {target.removeprefix(str(tmp_path))}")
        link(source, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("names descriptors through /proc")
    sink = opened(TextFiles(tmp_path))
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    (receipt,) = write(sink, T1, ["a"])
    log = "/_millstream/word-counts-097a78f96fb2"
    manifest = f"{log}/{HOUR}/{T1:013d}.json"
    order = [
        f"sync /{receipt['path']}",
        f"sync /{HOUR}",
        f"sync {log}",
        f"sync {log}/temporary/{T1:013d}.json-0",
        f"link {manifest}",
        f"sync {log}/{HOUR}",
    ]
    assert [step for step in steps if step in order] == order
    assert steps[0] == "sync "


def test_a_sink_that_was_not_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="not open"):
        TextFiles(tmp_path).stage(Batch(T1), 0, Partition(["a"]))


def test_an_opened_sink_travels(tmp_path: Path) -> None:
    sink = pickle.loads(pickle.dumps(opened(TextFiles.by_prefix(tmp_path / "counts", "txt"))))
    assert sink.stage(Batch(T1), 0, Partition(["a"]))["path"].startswith(f"counts-{T1}.txt/word-counts-")


def test_a_relative_path_stands_for_where_the_program_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = TextFiles("out")
    monkeypatch.chdir("/")
    assert sink.path == str(tmp_path / "out")


def test_reading_where_nothing_was_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No file sink ever wrote there"):
        read_committed(tmp_path / "missing")
    assert read_committed(tmp_path) == []


def test_reading_can_be_narrowed_to_an_output_or_a_history(tmp_path: Path) -> None:
    write(opened(TextFiles(tmp_path)), T1, ["a"])
    write(opened(TextFiles(tmp_path), SinkLineage("lineage-2", "other")), T1, ["b"])
    assert read_committed(tmp_path) == ["b", "a"]
    assert read_committed(tmp_path, output="other") == ["b"]
    assert read_committed(tmp_path, lineage_id="lineage-1") == ["a"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text("a\nb"), "has 3 bytes"),
        (lambda path: path.write_text("abc\n"), "has 1 records"),
    ],
)
def test_a_committed_file_that_changed_is_named(tmp_path: Path, damage: Any, found: str) -> None:
    (receipt,) = write(opened(TextFiles(tmp_path)), T1, ["a", "b"])
    damage(tmp_path / receipt["path"])
    with pytest.raises(DataError, match="not what was committed") as caught:
        read_committed(tmp_path)
    assert receipt["path"] in str(caught.value)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"{", "cannot be read"), (b'{"version": 9}', "cannot be read"), (None, "newer format")]
)
def test_a_manifest_that_cannot_be_understood_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    write(opened(TextFiles(tmp_path)), T1, ["a"])
    manifest = next(tmp_path.glob("_millstream/*/2*/*.json"))
    manifest.write_bytes(content or manifest.read_bytes().replace(b'"version":1', b'"version":9'))
    with pytest.raises(DataError, match=problem) as caught:
        read_committed(tmp_path)
    assert str(manifest) in str(caught.value)


def test_a_thousand_batches_do_not_slow_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    sink = opened(TextFiles(tmp_path))
    for number in range(1_000):
        write(sink, T1 + number * 3_600_000, ["a"])
    monkeypatch.undo()
    looked_at: list[str] = []
    names = LocalDirectory.names

    def noted_names(self: LocalDirectory, path: str) -> Iterator[str]:
        looked_at.append(path)
        return names(self, path)

    monkeypatch.setattr(LocalDirectory, "names", noted_names)
    assert TextFiles(tmp_path).open(LINEAGE) == T1 + 999 * 3_600_000
    assert len(looked_at) < 10
