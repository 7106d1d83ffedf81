"""Whatever providers do, and however readers leave: a stream ends in one of four states, and says what it rests on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream import (
    AuthenticationError,
    BackstreamError,
    Client,
    Content,
    Deadlines,
    DecodeError,
    Finish,
    IncompleteStream,
    InvalidRequestError,
    RateLimitError,
    RawResponse,
    Reasoning,
    Recovery,
    Switched,
    UnavailableError,
    Usage,
)
from backstream.options import MidStreamPolicy
from backstream.registry.config import Config
from support_routes import Sleeps

STATES = ("complete", "incomplete", "failed", "cancelled")
CHUNKS = st.sampled_from(
    [
        Content(content="one "),
        Content(content="two "),
        Reasoning(token="hm"),
        Usage(usage={"prompt_tokens": 1, "completion_tokens": 2}),
        Finish(finish={"reason": "stop"}),
    ]
)
FAULTS = st.sampled_from(
    [
        lambda: UnavailableError("down", status=503),
        lambda: RateLimitError("slow", status=429, retry_after_seconds=2),
        lambda: AuthenticationError("no", status=401),
        lambda: InvalidRequestError("no"),
        lambda: DecodeError("broken"),
        lambda: IncompleteStream("cut"),
        lambda: ValueError("a bug"),
        lambda: TimeoutError("its own"),
        "silence",
        "return",
    ]
)
SCRIPTS = st.lists(st.tuples(st.lists(CHUNKS, max_size=4), FAULTS), min_size=1, max_size=4)
LEAVE = st.sampled_from(["stay", "break", "cancel", "task", "close"])


class Chaotic:
    """A provider that plays the next script each time it is asked, the last one for ever."""

    def __init__(self, scripts: Sequence[tuple[list[RawResponse], Any]]) -> None:
        self.scripts = list(scripts)
        self.running = 0

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        chunks, ending = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self.running += 1
        try:
            for chunk in chunks:
                yield chunk
            if ending == "silence":
                await asyncio.Event().wait()
            if ending != "return":
                raise ending()
        finally:
            self.running -= 1


Leave = Literal["stay", "break", "cancel", "task", "close"]


async def check(
    scripts: Sequence[tuple[list[RawResponse], Any]], policy: MidStreamPolicy, leave: Leave, at: int
) -> None:
    provider = Chaotic(scripts)
    recovery = Recovery(mid_stream=policy, switch_after=0.005)
    clocks = Deadlines(first_content=0.01, between_content=0.01, total=5)
    delivered: list[RawResponse] = []
    raised: BaseException | None = None
    async with Client(Config(), environ={}, recovery=recovery, deadlines=clocks) as client:
        client._sleep = Sleeps()  # type: ignore[assignment]  # retries wait for nothing
        stream = client.stream(["a", "b"], "Hi", provider=provider)

        async def read() -> None:
            async for chunk in stream:
                delivered.append(chunk)
                if len(delivered) == at and leave == "break":
                    break
                if len(delivered) == at and leave == "cancel":
                    stream.cancel()
                if len(delivered) == at and leave == "close":
                    await stream.aclose()
                if len(delivered) == at and leave == "task":
                    reading.cancel()

        reading = asyncio.ensure_future(read())
        try:
            await reading
        except (Exception, asyncio.CancelledError) as error:
            raised = error
        async with stream:
            pass
        end = stream.end
        assert end is not None
        assert end.state in STATES
        left = leave != "stay" and len(delivered) >= at
        if raised is None:
            assert end.state == "complete" or (left and end.state == "cancelled")
            assert end.state != "complete" or (end.evidence == ("returned",) and not end.advice)
        elif not isinstance(raised, asyncio.CancelledError):
            assert end.state in ("failed", "incomplete")
            assert end.evidence
            assert end.advice
        if isinstance(raised, BackstreamError) and not isinstance(raised, InvalidRequestError):
            assert list(raised.received) == delivered  # type: ignore[attr-defined]
        reply = stream.reply
        assert reply.end is end
        whole = [chunk for chunk in delivered if isinstance(chunk, Switched) and chunk.kept == "nothing"]
        if not left and not whole:
            assert reply.text == "".join(str(chunk) for chunk in delivered if isinstance(chunk, Content))
        again = [chunk async for chunk in stream]
        assert again == []
        assert stream.end == end
    assert provider.running == 0
    assert all(route.running == 0 for route in client.routes())
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=150, deadline=None)
@given(SCRIPTS, st.sampled_from(["fail", "restart", "continue", "whole"]), LEAVE, st.integers(1, 4))
def test_every_stream_ends_in_one_way(
    scripts: list[tuple[list[RawResponse], Any]], policy: MidStreamPolicy, leave: Leave, at: int
) -> None:
    asyncio.run(check(scripts, policy, leave, at))
