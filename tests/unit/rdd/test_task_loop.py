from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from millstream.errors import InternalError
from millstream.rdd.task_loop import TaskLoop


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_the_loop_is_kept_until_it_is_closed() -> None:
    loop = TaskLoop()
    first = loop.run(running_loop())
    assert loop.run(running_loop()) is first
    loop.close()
    assert first.is_closed()
    second = loop.run(running_loop())
    assert second is not first
    loop.close()
    loop.close()


def test_closing_cancels_what_was_left_running() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    left: list[asyncio.Task[None]] = []

    async def leave() -> None:
        left.append(asyncio.ensure_future(forever()))
        await asyncio.sleep(0)

    loop = TaskLoop()
    loop.run(leave())
    assert not left[0].done()
    loop.close()
    assert ended == ["task"]


def test_a_loop_that_nobody_closes_is_closed_when_it_goes() -> None:
    loop = TaskLoop()
    its = loop.run(running_loop())
    del loop
    gc.collect()
    assert its.is_closed()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_cancels_the_work_first(kind: type[BaseException]) -> None:
    ended: list[str] = []

    async def interrupted() -> None:
        raise kind

    async def work() -> None:
        interrupting = asyncio.ensure_future(interrupted())
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("work")
            await asyncio.gather(interrupting, return_exceptions=True)

    loop = TaskLoop()
    with pytest.raises(kind):
        loop.run(work())
    assert ended == ["work"]
    assert loop.run(asyncio.sleep(0, "still usable")) == "still usable"
    loop.close()


def test_inside_another_loop_a_helper_thread_turns_it() -> None:
    loop = TaskLoop()

    async def where() -> tuple[int, asyncio.AbstractEventLoop]:
        return threading.get_ident(), asyncio.get_running_loop()

    async def fails() -> None:
        raise OSError("from the helper")

    async def main() -> None:
        thread, its = loop.run(where())
        assert thread != threading.get_ident()
        assert its is not asyncio.get_running_loop()
        with pytest.raises(OSError, match="from the helper"):
            loop.run(fails())
        loop.close()
        assert its.is_closed()

    asyncio.run(main())


def test_the_current_loop_is_that_of_the_innermost_block() -> None:
    outer, inner = TaskLoop(), TaskLoop()
    with outer:
        with inner:
            assert TaskLoop.current() is inner
        assert TaskLoop.current() is outer
    with pytest.raises(InternalError):
        TaskLoop.current()


def test_closing_leaves_a_loop_alone_that_turns() -> None:
    loop = TaskLoop()

    async def work() -> asyncio.AbstractEventLoop:
        loop.close()
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop.run(work()).close()
