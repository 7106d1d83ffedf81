"""The client over a server of this machine: what is asked beside conversations, and a server without a name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from backstream import Client, DialectProvider, Row, SyncClient, UnsupportedFeatureError
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send, Step


def answer(body: bytes, media_type: str = "application/json") -> list[Step]:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nx-request-id: r1\r\n"
    return [ReadRequest(), Send(head.encode() + b"Connection: close\r\n\r\n" + body), Close()]


STREAM = answer(
    b'data: {"id":"c1","model":"m1","choices":[{"delta":{"content":"Hi."},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n",
    "text/event-stream",
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path)}


async def test_a_server_without_a_name(environ: Mapping[str, str]) -> None:
    async with ScriptedUpstream(STREAM) as upstream, Client(environ=environ) as client:
        reply = await client.chat("m", "Hi", url=f"{upstream.url}/v1", api_key="k-1", temperature=0.5)
        (request,) = upstream.requests
    assert (reply.text, reply.model, reply.id) == ("Hi.", "m1", "c1")
    assert reply.service is not None
    assert reply.service.request_id == "r1"
    assert [str(receipt) for receipt in reply.receipts] == ["temperature kept"]
    assert (request.target, request.headers.get("authorization")) == ("/v1/chat/completions", "Bearer k-1")
    assert json.loads(request.body)["temperature"] == 0.5


async def test_what_is_asked_beside_conversations(environ: Mapping[str, str]) -> None:
    scripts = [
        answer(b'{"data":[{"index":0,"embedding":[0.5]}],"model":"e"}'),
        answer(b'{"data":[{"b64_json":"AAEC"}]}'),
        answer(b"\x00\x01", "audio/mpeg"),
        answer(b'{"text":"Hello."}'),
    ]
    async with ScriptedUpstream(*scripts) as upstream, Client(environ=environ) as client:
        url = f"{upstream.url}/v1"
        assert (await client.embed("e", "Hi", url=url)).vectors == ((0.5,),)
        assert (await client.images("i", "a cat", url=url)).images[0].data == "AAEC"
        assert (await client.speech("s", "Hello.", voice="v", url=url)).data == b"\x00\x01"
        assert (await client.transcribe("t", b"RIFF\x00\x00\x00\x00WAVEfmt ", url=url)).text == "Hello."
        assert [request.target.rpartition("/v1/")[2] for request in upstream.requests] == [
            "embeddings",
            "images/generations",
            "audio/speech",
            "audio/transcriptions",
        ]


async def test_what_a_provider_does_not_offer_is_told(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(UnsupportedFeatureError, match="echo has no embed"):
            await client.embed("echo/echo", "Hi")
        with pytest.raises(UnsupportedFeatureError, match="count tokens"):
            await client.count_tokens("m", "Hi", url="http://127.0.0.1:1/v1", tools=[test_a_server_without_a_name])


async def test_tokens_are_counted_by_who_can(environ: Mapping[str, str]) -> None:
    def weather(city: str) -> str:
        """Look the weather up."""
        return city

    async with ScriptedUpstream(answer(b'{"input_tokens":7}')) as upstream, Client(environ=environ) as client:
        row = Row(
            name="here", label="", url=upstream.url, dialect="anthropic_messages", key_needed=False, documentation=""
        )
        provider = DialectProvider(row)
        assert await client.count_tokens("m", "Hi", provider=provider, tools=[weather]) == 7
        (request,) = upstream.requests
        assert request.target == "/messages/count_tokens"
        assert json.loads(request.body)["tools"][0]["name"] == "weather"


@pytest.mark.parametrize("verb", ["embed", "images", "speech", "transcribe"])
def test_the_same_without_async(verb: str, environ: Mapping[str, str]) -> None:
    with SyncClient(environ=environ) as client, pytest.raises(UnsupportedFeatureError, match=f"echo has no {verb}"):
        getattr(client, verb)("echo/echo", b"x" if verb == "transcribe" else "x")
