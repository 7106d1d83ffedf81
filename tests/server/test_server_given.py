"""Providers given to the application, and clients of the backend-api: asked again, resting, their news as it comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from backstream.chunks import Content, Finish, Start
from backstream.errors import RateLimitError, TooLargeError, UnavailableError
from backstream.options import Recovery
from backstream.request import Request, TextPart, Turn
from backstream.server import Settings, create_app
from backstream.server.backends import BackEnd
from backstream.server.gated import GatedAnswer
from support_server import HELLO, Journal, provider_of, running
from support_transport import no_leaks

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")


def app_of(generate: Any, **settings: Any) -> Any:
    app = create_app([provider_of(generate)], Settings(keys_file=None, **settings))
    app.back_ends.random = lambda: 0.0
    return app


def kinds(answer: Any) -> list[str]:
    return [event["type"] for event in answer.events() if event["type"] not in ("provider", "parameters")]


async def test_what_fails_before_its_first_content_is_asked_again() -> None:
    said: list[Any] = [UnavailableError("down", status=503), RateLimitError("slower", status=429), "Hello"]
    seen: list[Any] = []

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        seen.append(list(messages))
        messages.append({"role": "assistant", "content": "its own"})
        each = said.pop(0)
        if isinstance(each, Exception):
            raise each
        yield each

    async with running(app=app_of(generate)) as server:
        answer = await server.converse()
    assert kinds(answer) == ["content"]
    assert answer.events()[-1]["content"] == "Hello"
    assert seen == [HELLO["messages"]] * 3


async def test_one_that_stays_down_rests_and_readyz_tells() -> None:
    down = False
    asked = 0

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        nonlocal asked
        asked += 1
        if down:
            raise UnavailableError("down", status=503)
        yield "Hello"

    async with running(app=app_of(generate, recovery=Recovery(retries=0))) as server:
        assert kinds(await server.converse()) == ["content"]
        down = True
        answers = [await server.converse() for _ in range(4)]
        (told,) = (await server.ask("GET", "/readyz?verbose=1")).json()["routes"]
        page = (await server.ask("GET", "/metrics")).body.decode()
    assert [kinds(each) for each in answers] == [["error"]] * 4
    assert "resting after 3 failures" in answers[3].events()[-1]["message"]
    assert asked == 4
    assert (told["name"], told["state"], told["failures"]) == ("Scripted/one", "open", 3)
    assert 'backstream_route_state{route="Scripted/one",state="open"} 1' in page


async def test_what_it_tells_before_its_first_content_comes_at_once_and_stays() -> None:
    going_on = asyncio.Event()
    tries = 0

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        nonlocal tries
        tries += 1
        yield {"type": "log", "log": f"try {tries}"}
        if tries == 1:
            raise UnavailableError("down", status=503)
        await going_on.wait()
        yield {"type": "log", "log": "last"}
        yield Content(content="Hello")
        yield Finish(finish={"reason": "stop"})

    async with running(app=app_of(generate)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps(HELLO).encode()
        head = f"POST /backend-api/v2/conversation HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        before = await reader.readuntil(b"try 2")
        going_on.set()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert before.count(b"try 1") == 1
    assert b"Hello" not in before
    assert (rest.count(b"last"), rest.count(b"Hello"), rest.count(b"try")) == (1, 1, 0)
    assert rest.index(b"last") < rest.index(b"Hello")


async def test_an_answer_of_news_alone_is_whole() -> None:
    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        yield {"type": "log", "log": "nothing to say"}

    async with running(app=app_of(generate)) as server:
        answer = await server.converse()
    assert kinds(answer) == ["log"]


async def test_a_client_may_choose_what_happens_when_it_breaks() -> None:
    tries = 0

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        nonlocal tries
        tries += 1
        yield Start(id=f"answer-{tries}")
        yield "One, "
        if tries == 1:
            raise UnavailableError("down", status=503)
        yield "two."

    async with running(app=app_of(generate)) as server:
        whole = await server.converse(headers={"x-backstream-mid-stream": "whole"})
        tries = 0
        cut = await server.converse()
    assert "".join(event.get("content", "") for event in whole.events()) == "One, two."
    assert kinds(cut)[-2:] == ["content", "error"]
    assert tries == 1


async def test_its_own_clocks_hold_from_one_chunk_to_the_next() -> None:
    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        async with asyncio.timeout(0.02):
            yield "One"
            await asyncio.Event().wait()

    async with running(app=app_of(generate)) as server:
        answer = await server.converse()
    assert kinds(answer) == ["content", "error"]
    assert answer.events()[-1]["error"] == "TimeoutError"


async def test_leaving_while_it_is_asked_again_closes_it() -> None:
    journal = Journal()

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        try:
            yield {"type": "log", "log": "here"}
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            journal.note("closed")

    async with running(app=app_of(generate)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps(HELLO).encode()
        head = f"POST /backend-api/v2/conversation HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b"here")
        writer.transport.abort()
        await journal.wait_for("closed")
    assert journal.entries == ["closed"]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_what_never_says_anything_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setattr("backstream.resilience.commit.MOST_HELD_CHUNKS", 100)
    made = 0

    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        nonlocal made
        while True:
            made += 1
            yield {"type": "log", "log": "still here"}

    async with running(app=app_of(generate)) as server:
        body = {"model": "one", "messages": HELLO["messages"], "stream": stream}
        answer = await server.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 502
    assert "larger than the limit of 100 chunks" in answer.json()["error"]["message"]
    assert made in range(101, 110)


async def test_the_gate_holds_no_more_than_the_routes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def generate(model: str, messages: Any, **rest: Any) -> Any:
        while True:
            yield {"type": "log", "log": "still here"}

    monkeypatch.setattr("backstream.resilience.commit.MOST_HELD_CHUNKS", 100)
    request = Request(model="one", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),))
    gated = GatedAnswer(BackEnd("one", provider_of(generate), "one", is_known=True), request)
    with pytest.raises(TooLargeError, match="100 chunks"):
        await gated.wait()
    assert len(gated.held) == 101
    await gated.aclose()
