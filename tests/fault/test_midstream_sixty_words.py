"""Sixty words, broken off after each of them, by every fault, and gone on with in every way: each word comes once."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest

from backstream.chunks import Content, Switched
from backstream.client.stream import ChatStream
from backstream.errors import BetweenContentTimeout, DecodeError, IncompleteStream, ProviderError
from backstream.resilience.route import Ask
from backstream.resilience.settings import MidStreamPolicy, Recovery
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates
from backstream.transport.pool import aclose_pools
from support_breaking import TEXT, WORDS, BackEnd, BackEndRoute, Fault, GoesOn, breaking, going_on, pieces_of

pytestmark = pytest.mark.usefixtures("no_leaks")

DIALECTS = ("openai_chat", "anthropic_messages", "ollama")
FAULTS = ("cut", "reset", "stall", "damage")
WHY = {"stall": BetweenContentTimeout, "damage": DecodeError}
HASTY = 0.25
"""How many seconds a route that stalls is waited for."""


class Broken:
    """A call whose first route breaks off, and whose second one goes on."""

    def __init__(self, dialect: str, words: int, fault: Fault, second: BackEnd, *, takes_prefix: bool = True) -> None:
        self._dialect = dialect
        self._seconds = HASTY if fault == "stall" else 20
        self._takes_prefix = takes_prefix
        self.first = BackEnd(dialect, breaking(words, fault))
        self.second = second

    def stream(self, policy: MidStreamPolicy) -> ChatStream:
        routes = [
            BackEndRoute("first", self.first, self._dialect, takes_prefix=True, seconds=self._seconds),
            BackEndRoute("second", self.second, self._dialect, takes_prefix=self._takes_prefix),
        ]
        stack = build_stack(routes, Recovery(mid_stream=policy, retries=0, switch_after=None), RouteStates())
        return ChatStream(lambda: stack.open(Ask()))


async def check_continued(dialect: str, words: int, fault: Fault, how: GoesOn, *, takes_prefix: bool) -> None:
    async with BackEnd(dialect, going_on(how)) as second:
        broken = Broken(dialect, words, fault, second, takes_prefix=takes_prefix)
        async with broken.first:
            stream = broken.stream("continue")
            chunks = [chunk async for chunk in stream]
            assert "".join(map(str, chunks)) == TEXT, f"after {words} words"
            switched = [chunk for chunk in chunks if isinstance(chunk, Switched)]
            assert [(each.from_, each.to, each.kept) for each in switched] == [("first/m", "second/m", "all")]
            assert stream.reply.text == TEXT
            assert stream.end is not None
            assert stream.end.state == "complete"
            assert (len(broken.first.prefixes), len(second.prefixes)) in {(1, 1), (1, 2)}
            assert None in second.prefixes or second.prefixes == [" ".join(WORDS[: max(words - 1, 0)])]
            await broken.first.closed()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("how", [*get_args(GoesOn), "takes no begin"])
async def test_after_each_of_sixty_words_each_word_comes_once(dialect: str, fault: Fault, how: str) -> None:
    takes_prefix = how != "takes no begin"
    goes_on: GoesOn = how if takes_prefix else "begins anew"  # type: ignore[assignment]
    is_plain_loop = type(asyncio.get_running_loop()).__module__.startswith("asyncio")
    every = dialect == "openai_chat" or fault == "cut"
    # another loop is another transport, and another dialect other bytes: neither has other words
    cuts = range(0, len(WORDS) + 1, 1 if is_plain_loop and every else 12)
    await asyncio.gather(
        *(check_continued(dialect, words, fault, goes_on, takes_prefix=takes_prefix) for words in cuts)
    )
    await aclose_pools()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("policy", ["restart", "whole"])
async def test_an_answer_anew_is_the_reply(dialect: str, fault: Fault, policy: MidStreamPolicy) -> None:
    async with BackEnd(dialect, going_on("goes on")) as second:
        broken = Broken(dialect, 30, fault, second)
        async with broken.first:
            stream = broken.stream(policy)
            chunks = [chunk async for chunk in stream]
            [at] = [index for index, chunk in enumerate(chunks) if isinstance(chunk, Switched)]
            assert "".join(map(str, chunks[:at])) == ("" if policy == "whole" else "".join(pieces_of(TEXT)[:30]))
            assert "".join(map(str, chunks[at:])) == stream.reply.text == TEXT
            assert second.prefixes == [None]
            await broken.first.closed()
        await aclose_pools()
        await second.closed()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("policy", ["fail", "continue"])
async def test_everything_received_then_the_error(dialect: str, fault: Fault, policy: MidStreamPolicy) -> None:
    """The second route says something else, so that nobody goes on."""
    async with BackEnd(dialect, lambda _: (200, ["Another ", "answer."], "none")) as second:
        broken = Broken(dialect, 30, fault, second, takes_prefix=False)
        async with broken.first:
            stream = broken.stream(policy)
            with pytest.raises(WHY.get(fault, ProviderError)) as caught:
                await stream.wait()
            received = [chunk for chunk in caught.value.received if isinstance(chunk, Content)]
            assert "".join(map(str, received)) == "".join(pieces_of(TEXT)[:30])
            assert len(second.prefixes) == (policy == "continue")
            await broken.first.closed()
        await aclose_pools()
        await second.closed()


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_route_may_break(fault: Fault) -> None:
    seconds = HASTY if fault == "stall" else 20
    async with BackEnd("openai_chat", breaking(20, fault)) as first, BackEnd("ollama", breaking(40, fault)) as second:
        routes = [
            BackEndRoute("first", first, "openai_chat", takes_prefix=False, seconds=seconds),
            BackEndRoute("second", second, "ollama", takes_prefix=False, seconds=seconds),
        ]
        async with BackEnd("anthropic_messages", going_on("goes on")) as third:
            routes.append(BackEndRoute("third", third, "anthropic_messages", takes_prefix=True))
            stack = build_stack(routes, Recovery(mid_stream="continue", retries=0, switch_after=None), RouteStates())
            stream = ChatStream(lambda: stack.open(Ask()))
            chunks = [chunk async for chunk in stream]
            assert "".join(map(str, chunks)) == TEXT
            assert [chunk.to for chunk in chunks if isinstance(chunk, Switched)] == ["second/m", "third/m"]
            assert third.prefixes == [" ".join(WORDS[:39])]
            await aclose_pools()
            for back_end in (first, second, third):
                await back_end.closed()


async def test_leaving_while_the_second_route_answers_closes_both() -> None:
    async with (
        BackEnd("openai_chat", breaking(30, "cut")) as first,
        BackEnd("openai_chat", breaking(31, "stall")) as second,
    ):
        routes = [
            BackEndRoute("first", first, "openai_chat", takes_prefix=False),
            BackEndRoute("second", second, "openai_chat", takes_prefix=False),
        ]
        stack = build_stack(routes, Recovery(mid_stream="continue", retries=0), RouteStates())
        async with ChatStream(lambda: stack.open(Ask())) as stream:
            async for chunk in stream:
                if isinstance(chunk, Switched):
                    break
        await first.closed()
        await second.closed()


async def test_a_break_is_incomplete_without_a_policy() -> None:
    async with BackEnd("ollama", breaking(30, "cut")) as first:
        route = BackEndRoute("first", first, "ollama", takes_prefix=True)
        stack = build_stack([route], Recovery(retries=0), RouteStates())
        with pytest.raises(IncompleteStream) as caught:
            await ChatStream(lambda: stack.open(Ask())).wait()
        assert caught.value.text == "".join(pieces_of(TEXT)[:30])
        assert len(first.prefixes) == 1
