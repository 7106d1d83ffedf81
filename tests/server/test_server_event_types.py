"""Which event types a client gets: those of g4f, or all where it asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import BackendApi
from backstream.chunks import Content, Finish, PartEnd, ProviderInfo, RawResponse, Start, ToolCallDelta
from backstream.errors import UnavailableError
from support_server import provider_of, running, saying

ANSWER: list[RawResponse] = [
    Start(id="a1", model="m"),
    Content(content="Hi", part=0),
    PartEnd(part=0, kind="text", opaque={"gemini": {"sig": "x"}}),
    ToolCallDelta(part=1, id="c1", name="f", arguments="{"),
    ToolCallDelta(part=1, arguments="}"),
]
DONE = Finish(finish={"reason": "tool_calls", "raw": "tool_use"})
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PLAIN = [
    {"type": "content", "content": "Hi"},
    {"type": "tool_calls", "tool_calls": [CALL]},
    {"type": "finish", "finish": {"reason": "tool_calls"}},
]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize(
    ("asked", "events"),
    [
        ({}, PLAIN),
        ({"X-Backstream-Events": "some"}, PLAIN),
        ({"X-Backstream-Events": " ALL "}, [chunk.get_dict() for chunk in [*ANSWER, DONE]]),
    ],
)
async def test_own_types_go_to_those_who_ask(accept: str, asked: dict[str, str], events: list[Any]) -> None:
    async with running([saying(*ANSWER, DONE)]) as server:
        answer = await server.converse(headers={"Accept": accept, **asked})
    first, second, *rest = answer.events()
    assert [first["type"], second["type"]] == ["provider", "parameters"]
    assert rest == events


async def test_a_call_that_is_never_finished_off_is_said_at_the_end() -> None:
    async with running([saying(*ANSWER)]) as server:
        answer = await server.converse()
    assert answer.events()[2:] == PLAIN[:2]


async def test_a_call_that_an_error_cut_is_not_said() -> None:
    async def generate(model: str, messages: Any, **kwargs: Any) -> Any:
        for chunk in ANSWER[:-1]:
            yield chunk
        raise UnavailableError("busy")

    async with running([provider_of(generate)]) as server:
        answer = await server.converse()
    assert [event["type"] for event in answer.events()] == ["provider", "parameters", "content", "error"]


async def test_our_client_asks() -> None:
    async with running([saying(*ANSWER, DONE)]) as server:

        class Here(BackendApi):
            url = server.url

        chunks = [chunk async for chunk in Here.create_async_generator("", [{"role": "user", "content": "Hi"}])]
    assert isinstance(chunks[0], ProviderInfo)
    assert chunks[2:] == [*ANSWER, DONE]
