"""The event loop of an executor, on which tasks await what users' coroutines do."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.environment.environment import start_thread
from millstream.errors import InternalError
from millstream.model.accumulator import adding_to, additions_here
from millstream.model.current import batch_here, running_batch

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class TaskLoop:
    """One event loop, made at its first use and kept until `close`, so that connections made on it live on.

    It turns only while a task waits for it, in the thread of the task, so it never competes with the driver for the
    interpreter. A thread in which another loop runs already, as in a notebook or inside a coroutine, cannot turn a
    second one: there a helper thread does it while the task waits.

    Inside `with loop:` it is what `TaskLoop.current()` gives in this thread.

    Example:
        >>> async def answer():
        ...     return 42
        >>> loop = TaskLoop()
        >>> loop.run(answer())
        42
        >>> loop.close()
    """

    __slots__ = ("__weakref__", "_before", "_runners")

    def __init__(self) -> None:
        self._runners: list[asyncio.Runner] = []
        self._before: TaskLoop | None = None

    @staticmethod
    def current() -> TaskLoop:
        """Give the loop of the executor whose task runs in this thread."""
        if _here.loop is None:
            raise InternalError("A task wanted to await something, but no executor runs in this thread.")
        return _here.loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Turn the loop until the work is done, and give its result.

        Whatever ends this early, such as Ctrl-C, cancels the work and waits until it has ended. What else was
        started on the loop stands still until the next call.
        """
        runner = self._runner()
        # Why not within the turn: a helper thread's work can then be cancelled from this one.
        loop = runner.get_loop()
        task = loop.create_task(work)
        if not _loop_runs_here():
            return _turned(runner, task)

        def interrupt() -> None:
            loop.call_soon_threadsafe(task.cancel)

        return _elsewhere(lambda: _turned(runner, task), interrupt)

    def close(self) -> None:
        """Cancel what still runs on the loop, and end it; a later `run` makes a new one. Safe to call twice."""
        _close(self._runners)

    def _runner(self) -> asyncio.Runner:
        if not self._runners:
            import asyncio

            # Why a factory: without one the runner makes its loop the current one of whatever thread this is.
            self._runners.append(asyncio.Runner(loop_factory=asyncio.new_event_loop))
            # For programs that close nothing.
            weakref.finalize(self, _close, self._runners)
        return self._runners[0]

    def __enter__(self) -> None:
        self._before, _here.loop = _here.loop, self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _here.loop, self._before = self._before, None


class _Here(threading.local):
    loop: TaskLoop | None = None


_here = _Here()


def _turned(runner: asyncio.Runner, task: asyncio.Task[T]) -> T:
    try:
        return runner.run(_result_of(task))
    except BaseException:
        if not task.done():
            task.cancel()
            runner.run(_end_of(task))
        raise


async def _result_of(task: asyncio.Task[T]) -> T:
    return await task


async def _end_of(task: asyncio.Task[Any]) -> None:
    import asyncio

    await asyncio.wait([task])


def _close(runners: list[asyncio.Runner]) -> None:
    while runners:
        runner = runners.pop()
        if runner.get_loop().is_running():
            pass  # The program ends while a task, in a thread that dies with it, still waits.
        elif _loop_runs_here():
            _elsewhere(runner.close, _let_it_end)
        else:
            runner.close()


def _loop_runs_here() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _let_it_end() -> None:
    pass


def _elsewhere(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Do work in a helper thread, as a part of the task that runs in this one, and wait for it.

    Args:
        work: what to do.
        interrupt: makes the work end soon; called when the wait ends early.
    """
    from concurrent.futures import Future

    done: Future[T] = Future()
    batch, additions = batch_here(), additions_here()

    def run() -> None:
        try:
            with running_batch(batch), adding_to(additions):
                done.set_result(work())
        except BaseException as error:  # Why all: it is raised in the thread that waits.
            done.set_exception(error)

    thread = start_thread("millstream awaiting calls", run)
    try:
        thread.join()
    except BaseException:
        interrupt()
        thread.join()
        raise
    return done.result()
