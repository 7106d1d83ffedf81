"""The synchronous façade: the same items, in order, and everything closed when left."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from backstream import sync
from backstream.chunks import Content
from backstream.errors import MisuseError
from backstream.providers.result import AsyncResult
from backstream.reply import Block, End
from backstream.sync import run, sync_iter


async def count_to(number: int, log: list[str]) -> AsyncIterator[int]:
    try:
        for value in range(number):
            yield value
    finally:
        await asyncio.sleep(0)
        log.append("closed")


def test_items_come_in_order_and_the_source_is_closed() -> None:
    log: list[str] = []
    assert list(sync_iter(count_to(1000, log))) == list(range(1000))
    assert log == ["closed"]


def test_leaving_early_closes_before_the_next_statement() -> None:
    log: list[str] = []
    iterator = sync_iter(count_to(10_000, log))
    for value in iterator:
        if value == 3:
            break
    iterator.close()  # type: ignore[attr-defined]
    assert log == ["closed"]


def test_an_exception_in_the_loop_body_closes() -> None:
    log: list[str] = []

    def consume(items: Iterator[int]) -> None:
        for _ in items:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        consume(sync_iter(count_to(10, log)))
    assert log == ["closed"]


def test_an_error_comes_after_the_items_before_it() -> None:
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("cut")

    seen = []
    with pytest.raises(ConnectionError, match="cut"):
        for value in sync_iter(fail()):
            seen.append(value)
    assert seen == [1]


def test_a_slow_consumer_slows_the_source() -> None:
    produced = []

    async def produce() -> AsyncIterator[int]:
        for value in range(1000):
            produced.append(value)
            yield value

    iterator = sync_iter(produce())
    assert next(iterator) == 0
    run(asyncio.sleep(0.02))  # the source has had every chance to run ahead
    assert len(produced) <= 20
    iterator.close()  # type: ignore[attr-defined]


def test_an_awaitable_of_an_iterable_works() -> None:
    log: list[str] = []

    async def start() -> AsyncIterator[int]:
        return count_to(3, log)

    assert list(sync_iter(start())) == [0, 1, 2]


def test_an_answer_is_read_by_blocks_and_closed() -> None:
    log: list[str] = []

    class Source:
        def __init__(self) -> None:
            self.left: list[Block] = [[Content(content="a"), Content(content="b")], [End("complete")]]

        async def read_block(self) -> Block:
            return self.left.pop(0)

        def abort(self) -> None:
            log.append("aborted")

        async def aclose(self) -> None:
            log.append("closed")

    async def open_source() -> Source:
        return Source()

    assert "".join(map(str, sync_iter(AsyncResult(open_source)))) == "ab"
    assert "closed" in log


async def test_it_works_inside_a_running_loop() -> None:
    assert list(sync_iter(count_to(3, []))) == [0, 1, 2]


def test_many_threads_share_one_loop() -> None:
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(list(sync_iter(count_to(50, []))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(50))] * 8
    assert sum(thread.name == "backstream-sync" for thread in threading.enumerate()) == 1


def test_a_call_within_the_loop_that_serves_calls_is_refused_instead_of_waiting_for_ever() -> None:
    async def calls_itself() -> AsyncIterator[int]:
        with pytest.raises(MisuseError, match="async for"):
            run(asyncio.sleep(0))
        yield next(sync_iter(count_to(1, [])))

    with pytest.raises(MisuseError, match="async for"):
        list(sync_iter(calls_itself()))


def test_stopping_the_loop_closes_what_runs_on_it() -> None:
    log: list[str] = []
    background = sync._Background()

    async def wait_for_ever() -> None:
        try:
            log.append("running")
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    future = asyncio.run_coroutine_threadsafe(wait_for_ever(), background.loop)
    while not log:
        time.sleep(0.001)
    background.stop()
    assert log == ["running", "closed"]
    assert future.cancelled()
    assert background.loop.is_closed()
    assert not background.thread.is_alive()
    background.stop()  # harmless when repeated


def test_an_iterator_that_cannot_be_closed_is_read_too() -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = [1, 2]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert list(sync_iter(Plain())) == [1, 2]


def test_run_gives_results_and_errors() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise ValueError("no")

    assert run(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        run(fail())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is just what is tried here
from backstream.sync import sync_iter
async def two():
    yield 1
    yield 2
assert list(sync_iter(two())) == [1, 2]
child = os.fork()
if child == 0:
    os._exit(0 if list(sync_iter(two())) == [1, 2] else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_a_process_ends_cleanly_with_an_iterator_left_open() -> None:
    code = """
import asyncio
from backstream.sync import sync_iter
async def forever():
    n = await asyncio.to_thread(int)  # a thread for the loop to wait for, as name look-ups and media have
    while True:
        yield (n := n + 1)
left = sync_iter(forever())
next(left)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stderr == ""
