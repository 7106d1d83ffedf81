"""The client goes away: its provider is closed, in order, and nothing is left."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from backstream.server import Settings, create_app
from backstream.server.presence import ClientWatch
from backstream.server.refusals import ClientGone
from support_server import HELLO, Journal, head_and_body, provider_of, running

REQUEST = head_and_body("POST", "/backend-api/v2/conversation", HELLO)


def waiting(journal: Journal, *words: str) -> Any:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            journal.note("started")
            for word in words:
                yield word
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            journal.note("cancelled")
            raise
        finally:
            await asyncio.sleep(0)  # closing may take its time
            journal.note("closed")

    return provider_of(generate)


class Witness:
    """An application around ours that notes when ours has returned."""

    def __init__(self, journal: Journal, provider: Any) -> None:
        self._app = create_app([provider], Settings(keys_file=None))
        self._journal = journal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        self._journal.note("returned")


@pytest.mark.parametrize("words", [(), ("one",)], ids=["before the first chunk", "during the stream"])
@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_the_provider_is_closed_before_the_application_returns(words: Any, leave: str) -> None:
    journal = Journal()
    async with running(app=Witness(journal, waiting(journal, *words))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await journal.wait_for("started")
        if words:
            await reader.readuntil(b'"content":"one"')
        getattr(writer if leave == "close" else writer.transport, leave)()
        await journal.wait_for("returned")
    assert journal.entries == ["started", "cancelled", "closed", "returned"]


async def test_a_client_that_leaves_while_the_provider_writes() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            while True:
                yield "x" * 100_000
        finally:
            journal.note("closed")

    async with running(app=Witness(journal, provider_of(generate))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await reader.readexactly(10)
        writer.transport.abort()
        await journal.wait_for("returned")
    assert journal.entries == ["closed", "returned"]


async def test_a_client_that_leaves_in_the_middle_of_its_body(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    with caplog.at_level(logging.INFO, "backstream.server"):
        async with running(app=Witness(journal, waiting(journal))) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(REQUEST[:-5])
            await writer.drain()
            writer.close()
            await journal.wait_for("returned")
    assert journal.entries == ["returned"]
    assert [record.request["end"] for record in caplog.records] == ["cancelled"]  # type: ignore[attr-defined]


async def test_a_provider_that_swallows_its_cancellation_is_left_anyway() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            journal.note("started")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                journal.note("swallowed")
            while True:
                yield "still here"
        finally:
            journal.note("closed")

    async with running(app=Witness(journal, provider_of(generate))) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await journal.wait_for("started")
        writer.close()
        await journal.wait_for("returned")
    assert journal.entries == ["started", "swallowed", "closed", "returned"]


async def test_a_provider_that_fails_while_it_is_closed() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            journal.note("started")
            await asyncio.Event().wait()
            yield ""
        finally:
            raise ValueError("while closing")

    async with running(app=Witness(journal, provider_of(generate))) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await journal.wait_for("started")
        writer.close()
        await journal.wait_for("returned")


async def test_a_server_that_stops_cuts_the_stream_and_closes_the_provider() -> None:
    journal = Journal()
    async with running([waiting(journal, "one")]) as server:
        asked = asyncio.create_task(server.converse())
        await journal.wait_for("started")
        await asyncio.sleep(0.02)
        await server.listener.aclose()
        assert journal.entries == ["started", "cancelled", "closed"]
        raw = await asyncio.gather(asked, return_exceptions=True)
    assert not getattr(raw[0], "whole", False)  # cut, never ended as if it were whole


async def test_grace_lets_a_running_answer_end() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        journal.note("started")
        await asyncio.sleep(0.03)
        yield "the end"

    async with running([provider_of(generate)]) as server:
        asked = asyncio.create_task(server.converse())
        await journal.wait_for("started")
        await server.listener.aclose(grace_seconds=20)
        answer = await asked
    assert answer.whole
    assert answer.events()[-1]["content"] == "the end"


class TestClientWatch:
    """The context on its own: cancellation from elsewhere is not taken for the client's leaving."""

    async def test_leaving_raises_client_gone(self) -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        with pytest.raises(ClientGone):
            async with ClientWatch(receive) as watch:
                await asyncio.Event().wait()
        assert watch.gone
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    async def test_a_cancellation_from_elsewhere_stays_one(self) -> None:
        async def receive() -> Any:
            await asyncio.Event().wait()

        async def run() -> None:
            async with ClientWatch(receive):
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_leaving_after_the_end_is_nothing(self) -> None:
        left = asyncio.Event()

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async with ClientWatch(receive) as watch:
            watch.finishing()
            left.set()
            await asyncio.sleep(0)
        assert not watch.gone

    async def test_a_receive_that_fails_is_not_heard_of_again(self) -> None:
        async def receive() -> Any:
            raise OSError

        async with ClientWatch(receive) as watch:
            await asyncio.sleep(0)
        assert not watch.gone

    async def test_a_cancelled_task_is_not_cancelled_again(self) -> None:
        """A second cancellation would interrupt how the provider closes."""
        left, closed = asyncio.Event(), False

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            nonlocal closed
            async with ClientWatch(receive):
                try:
                    await asyncio.Event().wait()
                finally:
                    left.set()
                    await asyncio.sleep(0.01)
                    closed = True

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed
