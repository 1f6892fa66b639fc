from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from millstream.errors import (
    BackendUnavailableError,
    ConfigurationError,
    LifecycleError,
    ShippingError,
    UserCodeError,
)
from millstream.execution.processes import END_TIMEOUT_S, ProcessesBackend
from millstream.execution.scheduler import Scheduler
from millstream.execution.wire import Part, Wire
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.exchange import CountAll
from millstream.rdd.lineage import Held, Lineage, Narrow, Shuffled, Stepped
from millstream.rdd.operations import Apply, Collect, Count, Map
from millstream.rdd.partitioner import KeyGroups
from millstream.state.update_state_by_key import UpdateStateByKey

WORKERS = 2


def mapped(f: Callable[[Any], Any], *parts: list[Any]) -> Lineage:
    return Narrow(Held(parts), Map(f, Label("map", None, "app.py:7")))


@pytest.fixture(scope="module")
def backend() -> Iterator[ProcessesBackend]:
    backend = ProcessesBackend(WORKERS, worker_restarts=0)
    yield backend
    backend.close()


@pytest.fixture
def scheduler(backend: ProcessesBackend) -> Scheduler:
    return Scheduler(backend)


def collect(scheduler: Scheduler, lineage: Lineage) -> list[Any]:
    return scheduler.run(lineage, Collect())


def wait_for(path: Path) -> None:
    """Wait until a worker has written a file; what opens a named pipe waits for its other end."""
    path.read_text()


class TestPlacing:
    def test_partitions_have_their_workers(self, backend: ProcessesBackend, scheduler: Scheduler) -> None:
        pids = backend.worker_pids()
        assert len(set(pids)) == WORKERS
        assert os.getpid() not in pids
        for _ in range(2):
            given = collect(scheduler, mapped(lambda x: os.getpid(), *([x] for x in range(5))))
            assert given == [[pids[p % WORKERS]] for p in range(5)]

    def test_as_many_partitions_as_workers(self, backend: ProcessesBackend) -> None:
        assert backend.default_partitions == WORKERS

    @pytest.mark.parametrize("arguments", [{"workers": 0}, {"workers": 1, "worker_restarts": -1}])
    def test_arguments_out_of_range(self, arguments: dict[str, int]) -> None:
        with pytest.raises(ConfigurationError):
            ProcessesBackend(**arguments)

    def test_workers_outlive_the_thread_that_made_them(self) -> None:
        made: list[ProcessesBackend] = []

        def make() -> None:
            made.append(ProcessesBackend(1))
            made[0].worker_pids()

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        [backend] = made
        pids = backend.worker_pids()
        assert collect(Scheduler(backend), mapped(abs, [-1])) == [[1]]
        assert backend.worker_pids() == pids
        backend.close()


class TestFunctions:
    def test_are_pickled_once(self, scheduler: Scheduler) -> None:
        pickles: list[int] = []
        operation = Map(_Length(pickles), Label("map"))
        for _ in range(3):
            assert collect(scheduler, Narrow(Held([["a"], ["bb"], ["c"]]), operation)) == [[1], [2], [1]]
        assert len(pickles) == 1

    def test_are_forgotten_with_what_they_hold(self, scheduler: Scheduler, tmp_path: Path) -> None:
        gone = tmp_path / "gone"

        class Resource:
            def __del__(self, path: str = str(gone), open: Any = open, here: int = os.getpid()) -> None:
                import os

                if os.getpid() != here:
                    with open(path, "a") as file:
                        file.write(".")

        def using(resource: Resource) -> Lineage:
            return mapped(lambda x: resource is None, [1])

        collect(scheduler, using(Resource()))
        collect(scheduler, mapped(abs, [-1]))
        assert gone.read_text() == "."

    def test_that_cannot_be_sent_name_the_variable(self, scheduler: Scheduler) -> None:
        connection = threading.Lock()
        with pytest.raises(ShippingError) as raised:
            collect(scheduler, mapped(lambda x: connection.locked(), [1]))
        assert "`connection`" in str(raised.value)
        assert "app.py:7" in str(raised.value)
        assert collect(scheduler, mapped(abs, [-1])) == [[1]]

    def test_modules_found_later_are_found_in_workers(
        self, scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "found_later.py").write_text("def triple(x):\n    return x * 3\n")
        monkeypatch.syspath_prepend(tmp_path)
        import found_later  # type: ignore[import-not-found] # it is made by this test

        assert collect(scheduler, mapped(found_later.triple, [1], [2])) == [[3], [6]]

    def test_a_module_that_workers_cannot_find(
        self, scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "found_once.py").write_text("def triple(x):\n    return x * 3\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            import found_once  # type: ignore[import-not-found] # it is made by this test
        lineage = mapped(found_once.triple, [1])
        for _ in range(2):
            with pytest.raises(ShippingError, match="found_once"):
                collect(scheduler, lineage)
        monkeypatch.syspath_prepend(tmp_path)
        assert collect(scheduler, lineage) == [[3]]

    def test_are_in_the_driver_s_directory(self, scheduler: Scheduler) -> None:
        assert collect(scheduler, mapped(lambda x: os.getcwd(), [1])) == [[os.getcwd()]]

    def test_see_the_driver_s_environment(self, scheduler: Scheduler) -> None:
        names = ("PYTHONPATH", "PYTHONHASHSEED", "PATH")
        given = collect(scheduler, mapped(os.environ.get, list(names)))
        assert given == [[os.environ.get(name) for name in names]]

    def test_meet_sets_in_one_order_everywhere(self, scheduler: Scheduler) -> None:
        words = [f"word {n}" for n in range(100)]
        one, two = scheduler.run(Held([words, words]), Apply(lambda words: list(set(words))))
        assert one == two


class _Length:
    """Gives lengths, and notes on the driver when it is pickled."""

    def __init__(self, pickles: list[int]) -> None:
        self.pickles = pickles

    def __call__(self, x: str) -> int:
        return len(x)

    def __reduce__(self) -> Any:
        self.pickles.append(1)
        return _Length, ([],)


def sizes_sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the size of every message that the driver sends from here on, bytes."""
    sizes: list[int] = []
    send = Wire.send

    def noted(wire: Wire, parts: Sequence[Part]) -> None:
        sizes.append(sum(map(len, parts)))
        send(wire, parts)

    monkeypatch.setattr(Wire, "send", noted)
    return sizes


class TestData:
    def test_that_is_read_again_stays_with_the_worker(
        self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes = sizes_sent(monkeypatch)
        large = Held([["x" * 1_000_000], ["y" * 1_000_000]])
        large.keep()
        lengths = []
        for _ in range(4):
            sizes.clear()
            assert collect(scheduler, mapped_over(large, len)) == [[1_000_000], [1_000_000]]
            lengths.append(sum(sizes))
        assert lengths[0] > 2_000_000
        assert lengths[1] > 2_000_000
        assert max(lengths[2:]) < 10_000

    def test_that_was_computed_is_never_sent_back(self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = sizes_sent(monkeypatch)
        computed = mapped(lambda n: "x" * n, [1_000_000], [1_000_000])
        computed.keep()
        assert scheduler.run(computed, Count()) == [1, 1]
        assert collect(scheduler, mapped_over(computed, len)) == [[1_000_000], [1_000_000]]
        assert sum(sizes) < 20_000

    def test_that_is_forgotten_here_is_forgotten_there(self, scheduler: Scheduler, tmp_path: Path) -> None:
        gone = tmp_path / "gone"

        class Row:
            def __del__(self, path: str = str(gone), open: Any = open, here: int = os.getpid()) -> None:
                import os

                if os.getpid() != here:
                    with open(path, "a") as file:
                        file.write(".")

        computed = mapped(lambda x: Row(), [1])
        computed.keep()
        scheduler.keep(computed)
        collect(scheduler, mapped(len, ["a"]))
        assert not gone.exists()
        del computed
        collect(scheduler, mapped(len, ["a"]))
        assert gone.read_text() == "."

    def test_a_record_that_cannot_be_sent_is_named(self, scheduler: Scheduler) -> None:
        with pytest.raises(ShippingError, match="A record of type lock"):
            collect(scheduler, mapped(type, [1, threading.Lock()]))
        with pytest.raises(ShippingError, match="A record of type lock"):
            collect(scheduler, mapped(lambda x: threading.Lock(), [1]))
        with pytest.raises(ShippingError, match="lock"):
            scheduler.run(Held([[1]]), Apply(lambda rows: threading.Lock()))
        assert collect(scheduler, mapped(abs, [-1])) == [[1]]


def mapped_over(lineage: Lineage, f: Callable[[Any], Any]) -> Lineage:
    return Narrow(lineage, Map(f, Label("map")))


class TestErrors:
    def test_the_traceback_shows_the_user_s_line(self, scheduler: Scheduler) -> None:
        def divide(x: int) -> float:
            nothing = 0
            return x / nothing  # the line to be shown

        with pytest.raises(UserCodeError) as raised:
            collect(scheduler, mapped(divide, [1]))
        shown = "".join(traceback.format_exception(raised.value))
        assert "return x / nothing  # the line to be shown" in shown
        assert "test_processes.py" in shown
        assert shown.index("in a worker process") < shown.index("UserCodeError")

    def test_causes_of_causes_are_shown(self, scheduler: Scheduler) -> None:
        names: dict[int, int] = {}

        def chained(x: int) -> int:
            try:
                return names[x]
            except KeyError as error:
                raise ValueError("no such key") from error

        with pytest.raises(UserCodeError) as raised:
            collect(scheduler, mapped(chained, [1]))
        assert isinstance(raised.value.__cause__, ValueError)
        shown = "".join(traceback.format_exception(raised.value))
        assert "KeyError: 1" in shown

    def test_what_a_source_or_an_end_raises_comes_as_it_is(self, scheduler: Scheduler) -> None:
        def raising(rows: list[Any]) -> Any:
            raise FileNotFoundError(2, "it is gone", "data.txt")

        with pytest.raises(FileNotFoundError) as raised:
            scheduler.run(Held([[1]]), Apply(raising))
        assert raised.value.filename == "data.txt"
        assert "in raising" in "".join(traceback.format_exception(raised.value))

    def test_an_error_that_cannot_be_made_again_is_described(self, scheduler: Scheduler) -> None:
        class PickyError(Exception):
            def __init__(self, first: int, second: int) -> None:
                super().__init__(f"{first} and {second}")

        def raising(rows: list[Any]) -> Any:
            raise PickyError(1, 2)

        with pytest.raises(UserCodeError, match="PickyError in a worker process: 1 and 2") as raised:
            scheduler.run(Held([[1]]), Apply(raising))
        assert "in raising" in "".join(traceback.format_exception(raised.value))


class TestDeaths:
    @pytest.mark.parametrize(
        ("end", "how"),
        [
            (lambda x: sys.exit(3), "ended with exit status 3"),
            (lambda x: os._exit(4), "ended with exit status 4"),
            (lambda x: os.abort(), "was ended by signal 6 (SIGABRT)"),
            (lambda x: os.kill(os.getpid(), 9), "was ended by signal 9 (SIGKILL)"),
        ],
        ids=["sys.exit", "_exit", "abort", "kill"],
    )
    def test_are_described(self, scheduler: Scheduler, end: Callable[[int], Any], how: str) -> None:
        with pytest.raises(BackendUnavailableError) as raised:
            collect(scheduler, mapped(lambda x: end(x) if x == 2 else x, [0], [1], [2], [3], [4]))
        assert how in str(raised.value)
        assert "while it ran partition 2 of map (app.py:7)" in str(raised.value)
        assert collect(scheduler, mapped(abs, [-1], [-2])) == [[1], [2]]

    def test_the_last_words_are_shown(self, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
        def end(x: int) -> None:
            print("memory is full", file=sys.stderr)
            os._exit(1)

        with pytest.raises(BackendUnavailableError, match="memory is full"):
            collect(scheduler, mapped(end, [1]))
        assert "memory is full" in capsys.readouterr().err

    def test_between_stages(self) -> None:
        own = ProcessesBackend(2, worker_restarts=1)
        first, second = own.worker_pids()
        os.kill(second, signal.SIGKILL)
        os.waitid(os.P_PID, second, os.WEXITED | os.WNOWAIT)
        assert collect(Scheduler(own), mapped(lambda x: os.getpid(), [1], [2])) == [[first], [own.worker_pids()[1]]]
        assert own.worker_pids()[1] != second
        own.close()

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("#!/bin/sh\necho no module named millstream >&2; exit 1\n", "no module named millstream"),
            ("no program", "Exec format error"),
            ("#!/bin/sh\nexec cat <&- >/dev/null\n", "exit status"),
        ],
    )
    def test_at_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str) -> None:
        interpreter = tmp_path / "python"
        interpreter.write_text(script)
        interpreter.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(interpreter))
        backend = ProcessesBackend(1)
        with pytest.raises(BackendUnavailableError, match=why):
            collect(Scheduler(backend), mapped(abs, [-1]))
        backend.close()

    def test_a_worker_that_never_gets_ready(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        interpreter = tmp_path / "python"
        interpreter.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
        interpreter.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(interpreter))
        backend = ProcessesBackend(1, start_timeout_s=0.05)
        with pytest.raises(BackendUnavailableError, match=r"not ready within 0\.05 s"):
            collect(Scheduler(backend), mapped(abs, [-1]))
        backend.close()


class TestViewsOfState:
    def test_of_an_earlier_batch_are_lost_rather_than_wrong(self) -> None:
        def summed(values: list[int], old: int | None) -> int:
            return (old or 0) + sum(values)

        backend = ProcessesBackend(1)
        step = UpdateStateByKey(summed, Label("update_state_by_key"))
        views = []
        for number in (1, 2):
            backend.begin_state(number * 1_000)
            lineage = Stepped([[Held([[("a", number)]])]], step, "state", KeyGroups(1))
            views += Scheduler(backend, Batch(number * 1_000)).keep(lineage)
        [pid] = backend.worker_pids()
        os.kill(pid, signal.SIGKILL)
        assert list(views[1]) == [("a", 3)]
        with pytest.raises(BackendUnavailableError, match="Data was lost"):
            list(views[0])
        backend.commit_state(2_000)
        assert list(views[1]) == [("a", 3)]
        backend.close()


class TestOutput:
    def test_is_on_the_driver_s_streams_before_the_result(
        self, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def noisy(x: int) -> int:
            print("out", x)
            print("err", x, file=sys.stderr)
            return x

        for number in range(20):
            collect(scheduler, mapped(noisy, [number], [number]))
            given = capsys.readouterr()
            assert given.out == f"out {number}\n" * 2
            assert given.err == f"err {number}\n" * 2

    def test_comes_with_an_error_too(self, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
        def noisy(x: int) -> float:
            print("dividing by", x)
            return 1 / x

        with pytest.raises(UserCodeError):
            collect(scheduler, mapped(noisy, [0]))
        assert capsys.readouterr().out == "dividing by 0\n"


class TestInterrupts:
    def test_leave_the_backend_usable(self, backend: ProcessesBackend, scheduler: Scheduler) -> None:
        import polars  # noqa: F401 - from here on SIGINT restarts most system calls that it interrupts

        def interrupting(x: int) -> None:
            os.kill(os.getppid(), signal.SIGINT)
            threading.Event().wait()

        for _ in range(2):
            pids = backend.worker_pids()
            with pytest.raises(KeyboardInterrupt):
                collect(scheduler, mapped(lambda x: interrupting(x) if x else x, [0], [1]))
            assert collect(scheduler, mapped(abs, [-1], [-2])) == [[1], [2]]
            assert backend.worker_pids()[1] != pids[1]

    def test_do_not_reach_workers(self, backend: ProcessesBackend, scheduler: Scheduler) -> None:
        pids = backend.worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert collect(scheduler, mapped(abs, [-1], [-2])) == [[1], [2]]
        assert backend.worker_pids() == pids
        assert all(os.getpgid(pid) != os.getpgid(0) for pid in pids)


class TestClosing:
    def test_ends_the_workers(self) -> None:
        backend = ProcessesBackend(2)
        pids = backend.worker_pids()
        backend.close()
        backend.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(LifecycleError):
            collect(Scheduler(backend), mapped(abs, [-1]))

    def test_before_the_workers_were_needed(self) -> None:
        ProcessesBackend(1).close()

    def test_lets_workers_do_what_is_wanted_at_exit(self, tmp_path: Path) -> None:
        path = tmp_path / "ended"

        def register(x: int) -> None:
            import atexit

            atexit.register(Path(path).touch)

        backend = ProcessesBackend(1)
        collect(Scheduler(backend), mapped(register, [1]))
        backend.close()
        assert path.exists()

    def test_while_another_thread_waits_for_tasks(self, tmp_path: Path) -> None:
        backend = ProcessesBackend(1)
        backend.worker_pids()
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        raised: list[BaseException] = []

        def endless(x: int) -> None:
            Path(pipe).write_text("running")
            threading.Event().wait()

        def run() -> None:
            try:
                collect(Scheduler(backend), mapped(endless, [1]))
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        wait_for(pipe)
        began = time.monotonic()
        backend.close()
        assert time.monotonic() - began < END_TIMEOUT_S + 30
        thread.join()
        assert isinstance(raised[0], BackendUnavailableError)

    def test_kills_what_does_not_end(self) -> None:
        def hold_up(x: int) -> None:
            import atexit

            atexit.register(threading.Event().wait)

        backend = ProcessesBackend(1)
        collect(Scheduler(backend), mapped(hold_up, [1]))
        [pid] = backend.worker_pids()
        backend.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class TestWithoutWorkers:
    def test_data_at_hand_is_counted_and_collected_here(
        self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes = sizes_sent(monkeypatch)
        kept = Held([[1, 2, 3], range(4), [5]])
        kept.keep()
        for lineage in (Held([[1, 2, 3], range(4), [5]]), kept):
            assert scheduler.run(lineage, Count()) == [3, 4, 1]
            assert scheduler.run(lineage, Collect(2)) == [[1, 2], [0, 1], [5]]
            assert scheduler.run(Shuffled([lineage], CountAll(Label("count"))), Collect()) == [[8]]
        assert len(sizes) <= 2  # The total of the counts is put together by a worker.
