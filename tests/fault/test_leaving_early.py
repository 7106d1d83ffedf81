"""An answer that is left while another task, thread or loop is in the middle of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backstream import AsyncResult, BackendApi, MisuseError
from backstream.testing.upstream import ExpectEOF, ReadHead, ReadRequest, ScriptedUpstream, Send
from support_transport import CHUNKED, chunk, no_leaks

__all__ = ["no_leaks"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_leaks")

BEGUN = Send(CHUNKED + chunk(b'{"type":"content","content":"a"}\n'))


def ask(upstream: ScriptedUpstream, **options: Any) -> AsyncResult:
    class Scripted(BackendApi):
        url = upstream.url

    return Scripted.create_async_generator("m", [{"role": "user", "content": "Hi"}], **options)


async def aclose(answer: AsyncResult) -> None:
    await answer.aclose()


async def abort_in_a_thread(answer: AsyncResult) -> None:
    thread = threading.Thread(target=answer.abort)
    thread.start()
    thread.join()


Leave = Callable[[AsyncResult], Awaitable[None]]


@pytest.mark.parametrize("leave", [aclose, abort_in_a_thread])
@pytest.mark.parametrize("stage", ["before the head", "while uploading", "between chunks"])
async def test_the_connection_closes_and_the_readers_loop_ends(stage: str, leave: Leave) -> None:
    script = {
        "before the head": [ReadRequest(), ExpectEOF()],
        "while uploading": [ReadHead(), ExpectEOF()],
        "between chunks": [ReadRequest(), BEGUN, ExpectEOF()],
    }[stage]
    sent = asyncio.Event()
    media = [(b"GIF89a" + bytes(8_000_000), "a.gif")] if stage == "while uploading" else None
    async with ScriptedUpstream(script) as upstream:
        answer = ask(upstream, media=media, on_progress=lambda done, total: sent.set())
        seen: list[str] = []

        async def read() -> None:
            async for piece in answer:
                seen.append(str(piece))

        reader = asyncio.create_task(read())
        await sent.wait()
        while not upstream.requests or (stage == "between chunks" and not seen):
            await asyncio.sleep(0)
        await leave(answer)
        await upstream.closed()
        await reader
        assert seen == (["a"] if stage == "between chunks" else [])
        assert answer.end is not None
        assert answer.end.state == "cancelled"


async def test_the_reader_left_behind_is_cancelled_as_any_task() -> None:
    async with ScriptedUpstream([ReadRequest(), ExpectEOF()]) as upstream:
        answer = ask(upstream)
        reader = asyncio.ensure_future(anext(answer))
        while not upstream.requests:
            await asyncio.sleep(0)
        reader.cancel()
        await answer.aclose()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await upstream.closed()


async def test_one_begun_in_another_loop_is_refused_there_and_can_be_left_there() -> None:
    async with ScriptedUpstream([ReadRequest(), BEGUN, ExpectEOF()]) as upstream:
        answer = ask(upstream)
        assert str(await anext(answer)) == "a"

        async def elsewhere() -> None:
            with pytest.raises(MisuseError, match="another event loop"):
                await anext(answer)
            await answer.aclose()

        await asyncio.to_thread(asyncio.run, elsewhere())
        await upstream.closed()
        assert [piece async for piece in answer] == []


async def test_one_still_held_when_the_interpreter_ends_says_nothing() -> None:
    code = """
import asyncio, sys
from backstream import BackendApi
async def main():
    sys._left = BackendApi.create_async_generator("echo", [{"role": "user", "content": "Hi"}], pace_seconds=1)
    await anext(sys._left)
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "error", "-c", code], timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
