"""Responses that are kept: asked for again, gone on from, deleted; by the key that they belong to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream import Content, DialectProvider, Finish, UnavailableError
from backstream.chunks import Reasoning, Start, ToolCallDelta
from backstream.providers.table import row
from backstream.server.keys import add_key
from support_server import Answer, Running, provider_of, running, saying

streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


async def respond(server: Running, text: Any = "Hi", **members: Any) -> Answer:
    headers = members.pop("headers", {})
    body = {"model": "one", "input": text, **members}
    return await server.ask("POST", "/v1/responses", body, headers=headers)


def response_of(answer: Answer) -> dict[str, Any]:
    """The response object of an answer, whole or streamed."""
    assert answer.status == 200, answer.body
    if answer.header("content-type") == "application/json":
        return dict(answer.json())
    return dict(answer.events()[-1]["response"])


def echoing() -> tuple[Any, list[Any]]:
    """A provider that notes what it is asked, and answers how many messages that were."""
    asked: list[Any] = []

    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        asked.append((messages, keywords))
        yield Start(id="guessable-1")
        yield Content(content=f"{len(messages)} messages")
        yield Finish(finish={"reason": "stop"})

    return provider_of(generate), asked


@streamed_or_whole
async def test_a_response_is_told_again_and_deleted(stream: bool) -> None:
    provider, _ = echoing()
    async with running([provider]) as server:
        made = response_of(await respond(server, stream=stream))
        assert made["store"] is True
        assert len(made["id"].removeprefix("resp_")) == 32
        path = f"/v1/responses/{made['id']}"
        assert (await server.ask("GET", path)).json() == made
        assert (await server.ask("HEAD", path)).status == 200
        gone = await server.ask("DELETE", path)
        assert gone.json() == {"id": made["id"], "object": "response", "deleted": True}
        for method in ("GET", "DELETE"):
            missing = await server.ask(method, path)
            assert missing.status == 404
            assert missing.json()["error"]["type"] == "invalid_request_error"


@streamed_or_whole
async def test_what_is_not_to_be_kept_is_not(stream: bool) -> None:
    provider, _ = echoing()
    async with running([provider]) as server, running([provider], store_responses=False) as other:
        for made, where in [
            (response_of(await respond(server, stream=stream, store=False)), server),
            (response_of(await respond(other, stream=stream, store=True)), other),
        ]:
            assert made["store"] is False
            assert (await where.ask("GET", f"/v1/responses/{made['id']}")).status == 404


@streamed_or_whole
async def test_a_conversation_goes_on_for_any_provider(stream: bool) -> None:
    provider, asked = echoing()
    async with running([provider]) as server:
        first = response_of(await respond(server, "One", stream=stream, instructions="Be brief."))
        second = response_of(
            await respond(
                server,
                [{"role": "user", "content": [{"type": "input_text", "text": "Two"}]}],
                stream=stream,
                previous_response_id=first["id"],
            )
        )
        third = response_of(await respond(server, "Three", previous_response_id=second["id"], instructions="Rhyme."))
    assert second["previous_response_id"] == first["id"]
    assert third["output"][0]["content"][0]["text"] == "6 messages"
    messages, keywords = asked[-1]
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert "Rhyme." in str(messages[0])  # instructions are not carried over
    assert "1 messages" not in str(messages)
    assert "2 messages" in str(messages[2])
    assert "previous_response_id" not in keywords
    assert "store" not in keywords


async def test_calls_of_tools_are_gone_on_from() -> None:
    asked: list[Any] = []

    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        asked.append(messages)
        if len(asked) == 1:
            yield Reasoning(token="Hm")
            yield ToolCallDelta(part=0, id="call_1", name="f", arguments="{}")
            yield Finish(finish={"reason": "tool_calls"})
        else:
            yield Content(content="Done")
            yield Finish(finish={"reason": "stop"})

    async with running([provider_of(generate)]) as server:
        first = response_of(await respond(server, "Call it", stream=True))
        output = [{"type": "function_call_output", "call_id": "call_1", "output": "42"}]
        second = response_of(await respond(server, output, previous_response_id=first["id"]))
    assert second["output"][0]["content"][0]["text"] == "Done"
    assert [message["role"] for message in asked[1]] == ["user", "assistant", "tool"]
    assert asked[1][1]["tool_calls"][0]["function"]["name"] == "f"
    assert asked[1][2]["tool_call_id"] == "call_1"


@pytest.mark.parametrize("previous", ["resp_unknown", "x" * 1000, ""])
async def test_an_unknown_response_cannot_be_gone_on_from(previous: str) -> None:
    provider, asked = echoing()
    async with running([provider]) as server:
        answer = await respond(server, previous_response_id=previous)
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "previous_response_not_found"
    assert asked == []


async def test_a_response_belongs_to_the_key_that_asked(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    mine, other = ({"Authorization": f"Bearer {add_key(keys, name)}"} for name in ("mine", "other"))
    provider, asked = echoing()
    async with running([provider], keys_file=keys) as server:
        made = response_of(await respond(server, headers=mine))
        path = f"/v1/responses/{made['id']}"
        for method in ("GET", "DELETE"):
            theirs = await server.ask(method, path, headers=other)
            nobodys = await server.ask(method, "/v1/responses/resp_unknown", headers=other)
            assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body)
            assert theirs.status == 404
            assert (await server.ask(method, path)).status == 401
        cancelled = await server.ask("POST", f"{path}/cancel", headers=other)
        assert cancelled.status == 404
        refused = await respond(server, previous_response_id=made["id"], headers=other)
        assert refused.json()["error"]["code"] == "previous_response_not_found"
        assert len(asked) == 1
        assert (await server.ask("GET", path, headers=mine)).status == 200


async def test_a_response_that_is_over_cannot_be_cancelled() -> None:
    provider, _ = echoing()
    async with running([provider]) as server:
        made = response_of(await respond(server))
        over = await server.ask("POST", f"/v1/responses/{made['id']}/cancel")
        unknown = await server.ask("POST", "/v1/responses/resp_x/cancel")
        streamed = await server.ask("GET", f"/v1/responses/{made['id']}?stream=true")
    assert (over.status, unknown.status, streamed.status) == (400, 404, 400)


@streamed_or_whole
async def test_what_failed_is_not_kept(stream: bool) -> None:
    async def generate(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        yield Content(content="Hel")
        raise UnavailableError("busy", status=503)

    async with running([provider_of(generate)]) as server:
        answer = await respond(server, stream=stream)
        if stream:
            made = answer.events()[-1]["response"]
            assert made["status"] == "failed"
            assert (await server.ask("GET", f"/v1/responses/{made['id']}")).status == 404
        else:
            assert answer.status == 503


async def test_a_long_stream_is_kept_as_it_was() -> None:
    chunks = [Content(content="ab")] * 10_500
    async with running([saying(*chunks, Finish(finish={"reason": "length"}))]) as server:
        made = response_of(await respond(server, stream=True))
        kept = (await server.ask("GET", f"/v1/responses/{made['id']}")).json()
    assert kept == made
    assert kept["status"] == "incomplete"
    assert kept["output"][0]["content"][0]["text"] == "ab" * 10_500


@streamed_or_whole
async def test_a_provider_that_keeps_its_responses_is_asked_to_go_on_itself(stream: bool) -> None:
    provider, asked = echoing()
    async with running([provider]) as inner:
        known = msgspec.structs.replace(row("openai-responses"), url=f"{inner.url}/v1")
        own = DialectProvider(known, "key-of-nobody")
        async with running([own, provider]) as outer:
            name = f"{own.name}/one"
            first = response_of(await respond(outer, "One", model=name, stream=stream))
            second = response_of(
                await respond(outer, "Two", model=name, stream=stream, previous_response_id=first["id"])
            )
            assert (await outer.ask("GET", f"/v1/responses/{second['id']}")).json()["id"] == second["id"]
            # its own id, of a time before this server
            inside = response_of(await respond(inner, "Inside"))
            third = response_of(await respond(outer, "Three", model=name, previous_response_id=inside["id"]))
            # another provider goes on from what the first one said
            fourth = response_of(await respond(outer, "Four", model="Scripted/one", previous_response_id=second["id"]))
            # and back
            fifth = response_of(await respond(outer, "Five", model=name, previous_response_id=fourth["id"]))
    texts = [each["output"][0]["content"][0]["text"] for each in (first, second, third, fourth, fifth)]
    assert texts == ["1 messages", "3 messages", "3 messages", "5 messages", "7 messages"]
    assert len(asked) == 6


async def test_two_servers_with_one_state_file(tmp_path: Path) -> None:
    provider, _ = echoing()
    state = tmp_path / "state.db"
    async with running([provider], state_file=state) as one, running([provider], state_file=state) as two:
        made = response_of(await respond(one))
        assert (await two.ask("GET", f"/v1/responses/{made['id']}")).json() == made
        goes_on = response_of(await respond(two, "More", previous_response_id=made["id"]))
    assert json.dumps(goes_on["output"]).count("3 messages") == 1
