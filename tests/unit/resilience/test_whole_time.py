"""The whole time of a call: each attempt gets what is left, and the error names the whole."""

from __future__ import annotations

import asyncio

import pytest

from backstream.chunks import Content
from backstream.errors import TotalTimeout
from backstream.options import CallOptions, Deadlines
from backstream.reply import End
from backstream.resilience.deadline import Deadline
from backstream.resilience.route import Ask, ask_with
from support_routes import COMPLETE, PlayedRoute, never, read, says, text_of


async def test_without_a_whole_time_nothing_is_wrapped() -> None:
    route = PlayedRoute("a/m", says("Hi"))
    ask = ask_with(CallOptions())
    assert ask == Ask()
    source = await Deadline(route).open(ask)
    assert source is route.sources[0]
    assert route.asks == [ask]


async def test_an_attempt_gets_what_is_left() -> None:
    route = PlayedRoute("a/prefix", says("Hi"))
    ask = ask_with(CallOptions(deadlines=Deadlines(total=30, connect=3), proxy="http://p"))
    assert ask.total_seconds == 30
    assert ask.ends_at is not None
    wrapped = Deadline(route)
    assert (wrapped.name, wrapped.takes_prefix) == ("a/prefix", True)
    later = Ask(options=ask.options, ends_at=asyncio.get_running_loop().time() + 7, total_seconds=30)
    source = await wrapped.open(later)
    given = route.asks[0].options
    assert given.deadlines.total is not None
    assert 0 < given.deadlines.total <= 7
    assert (given.deadlines.connect, given.proxy) == (3, "http://p")
    assert source.service == "told beside"  # type: ignore[attr-defined]
    assert await text_of(source) == "Hi"
    source.abort()
    assert (route.sources[0].closed, route.sources[0].aborted) == (1, 1)


async def test_nothing_left_is_said_at_once() -> None:
    route = PlayedRoute("a/m", says("Hi"))
    with pytest.raises(TotalTimeout, match="within 30 s") as caught:
        await Deadline(route).open(Ask(ends_at=asyncio.get_running_loop().time(), total_seconds=30))
    assert route.asks == []
    assert not caught.value.request_sent
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(
    "script",
    [
        TotalTimeout(6.9, phase="headers"),
        [TotalTimeout(6.9, phase="headers")],
        [[End("failed", ("clock",), TotalTimeout(6.9, phase="headers"))]],
    ],
    ids=["opening", "reading", "end"],
)
async def test_an_attempt_that_ran_out_of_time_names_the_whole_time(script: object) -> None:
    route = PlayedRoute("a/m", script)  # type: ignore[arg-type]
    ask = Ask(ends_at=asyncio.get_running_loop().time() + 7, total_seconds=30)
    with pytest.raises(TotalTimeout, match="within 30 s") as caught:
        await read(await Deadline(route).open(ask))
    assert caught.value.phase == "headers"


async def test_blocks_pass_as_they_are() -> None:
    other = End("incomplete", ("eof",))
    route = PlayedRoute("a/m", [[], [Content(content="Hi"), other]], [[Content(content="Hi"), COMPLETE]], never())
    for end in (other, COMPLETE):
        source = await Deadline(route).open(Ask(ends_at=asyncio.get_running_loop().time() + 7))
        block = await source.read_block() or await source.read_block()
        assert block == [Content(content="Hi"), end]
        await source.aclose()
