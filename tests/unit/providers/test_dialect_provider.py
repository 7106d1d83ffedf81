"""A row, a dialect and a key over real sockets: what goes out, what is asked first, and what is told when it fails."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from backstream import (
    ConfigurationError,
    Deadlines,
    DecodeError,
    MissingKeyError,
    RateLimitError,
    TooLargeError,
    TotalTimeout,
    UnsupportedFeatureError,
)
from backstream.credentials import Secret
from backstream.options import CallOptions
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.table import row
from backstream.request.call import parse_call
from backstream.testing.upstream import ExpectEOF, ReadRequest, ScriptedUpstream, Send
from support_transport import head, no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-a-key-of-the-tests"
ASKED: Any = [{"role": "user", "content": "Hi"}]
JSON = "Content-Type: application/json"
EVENTS = b'data: {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = b'{"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}'
STREAM = ok(EVENTS, "Content-Type: text/event-stream")


def backend(upstream: ScriptedUpstream, name: str = "openai", key: Any = KEY, **changes: Any) -> DialectProvider:
    """A provider of the table, moved to the upstream."""
    settings = {each: changes.pop(each) for each in ("receipts", "sign") if each in changes}
    return DialectProvider(msgspec.structs.replace(row(name), url=upstream.url + "/v1", **changes), key, **settings)


def answering(*answers: bytes) -> list[Any]:
    return [step for answer in answers for step in (ReadRequest(), Send(answer))]


async def text_of(result: Any) -> str:
    return "".join([str(chunk) async for chunk in result])


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_what_a_provider_says_of_itself_holds_no_key() -> None:
    provider = DialectProvider(row("openai"), KEY)
    assert repr(provider) == "<DialectProvider openai openai_chat>"
    assert provider.get_dict() == {"name": "openai", "url": "https://api.openai.com/v1", "label": "OpenAI"}


async def test_a_key_goes_to_the_origin_it_is_bound_to_only() -> None:
    elsewhere = Secret(KEY, origin="https://example.org:443")
    with pytest.raises(ConfigurationError, match=r"bound to https://example.org:443 was about to be sent to https://a"):
        DialectProvider(row("openai"), elsewhere)
    async with ScriptedUpstream(answering(STREAM, STREAM)) as upstream:
        with pytest.raises(ConfigurationError, match="bound to"):
            backend(upstream).create_async_generator("m", ASKED, api_key=elsewhere)
        assert await text_of(backend(upstream, key=Secret(KEY)).create_async_generator("m", ASKED)) == "Hello"
        bound = Secret("sk-other", origin=upstream.url)
        assert await text_of(backend(upstream).create_async_generator("m", ASKED, api_key=bound)) == "Hello"
        sent = [request.headers["authorization"] for request in upstream.requests]
    assert sent == [f"Bearer {KEY}", "Bearer sk-other"]


async def test_a_missing_key_is_named_before_anything_is_sent() -> None:
    async with ScriptedUpstream() as upstream:
        with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
            backend(upstream, key=None).create_async_generator("m", ASKED)
        with pytest.raises(MissingKeyError, match="its key"):
            await backend(upstream, key=None, key_variables=()).list_models()
        assert upstream.connections == 0


async def test_a_key_stands_alone_where_its_field_has_no_scheme() -> None:
    reply = ok(b'{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}', JSON)
    async with ScriptedUpstream(answering(reply)) as upstream:
        provider = backend(upstream, "anthropic")
        assert await text_of(provider.create_async_generator("m", ASKED, max_tokens=9, stream=False)) == "Hello"
        (request,) = upstream.requests
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers


# --- models and parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["", None])
async def test_the_default_model_answers_where_none_is_named(named: str | None) -> None:
    async with ScriptedUpstream(answering(STREAM)) as upstream:
        provider = backend(upstream, default_model="usual")
        assert await text_of(provider.create_async_generator(named, ASKED)) == "Hello"
        assert json.loads(upstream.requests[0].body)["model"] == "usual"
        with pytest.raises(UnsupportedFeatureError, match="openai has no default model") as caught:
            backend(upstream, default_model=None).create_async_generator(named, ASKED)
    assert caught.value.remedy == "name one, as openai/model"


@pytest.mark.parametrize("policy", ["warn", "drop"])
async def test_a_parameter_without_words_is_noted(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedUpstream(answering(STREAM)) as upstream:
        answer = backend(upstream, receipts=policy).create_async_generator("m", ASKED, top_k=3)
        assert await text_of(answer) == "Hello"
        assert "top_k" not in json.loads(upstream.requests[0].body)
    assert [(each.what, each.outcome) for each in answer.receipts] == [("top_k", "dropped")]
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == (policy == "warn")


@pytest.mark.parametrize("own", [True, False])
async def test_a_parameter_without_words_is_refused_where_that_is_wanted(own: bool) -> None:
    async with ScriptedUpstream() as upstream:
        provider = backend(upstream, receipts="strict" if own else "drop")
        with pytest.raises(UnsupportedFeatureError, match="top_k"):
            await text_of(provider.create_async_generator("m", ASKED, top_k=3, receipts=None if own else "strict"))
        assert upstream.connections == 0


async def test_a_long_conversation_is_written_beside_the_loop() -> None:
    threads: list[int] = []

    class Noting:
        """The dialect, which notes in which thread it writes."""

        def __getattr__(self, name: str) -> Any:
            return getattr(DialectProvider(row("openai")).dialect, name)

        def render_request(self, *arguments: Any) -> Any:
            threads.append(threading.get_ident())
            return self.__getattr__("render_request")(*arguments)

    async with ScriptedUpstream(answering(STREAM, STREAM, STREAM)) as upstream:
        moved = msgspec.structs.replace(row("openai"), url=upstream.url)
        provider = DialectProvider(moved, KEY, dialect=Noting())  # type: ignore[arg-type] # only what is asked of it
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
        for content in ("Hi", "x" * 300_000, [picture]):
            asked: Any = [{"role": "user", "content": content}]
            assert await text_of(provider.create_async_generator("m", asked)) == "Hello"
        lengths = [len(request.body) for request in upstream.requests]
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, False]
    assert [length > 300_000 for length in lengths] == [False, True, True]


# --- signing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [True, False])
async def test_every_request_is_signed(waits: bool) -> None:
    shown: list[tuple[str, str, Mapping[str, str], bytes]] = []

    def sign(method: str, url: str, headers: Mapping[str, str], body: Any) -> dict[str, str | Secret]:
        shown.append((method, url, dict(headers), body if isinstance(body, bytes) else b"".join(body)))
        return {"X-Signature": Secret("s-1"), "X-Date": "today"}

    async def sign_later(*arguments: Any) -> dict[str, str | Secret]:
        return sign(*arguments)

    async with ScriptedUpstream(answering(STREAM)) as upstream:
        provider = backend(upstream, sign=sign_later if waits else sign, headers={"X-Own": "1"})
        assert await text_of(provider.create_async_generator("m", ASKED)) == "Hello"
        (request,) = upstream.requests
    ((method, url, headers, body),) = shown
    assert (method, url) == ("POST", f"{upstream.url}/v1/chat/completions")
    assert headers["X-Own"] == "1"
    assert KEY not in str(headers)
    assert body == request.body
    assert (request.headers["x-signature"], request.headers["x-date"]) == ("s-1", "today")


# --- whole answers and refusals ---------------------------------------------------------------------------------------


async def test_a_whole_answer_to_a_request_for_a_stream() -> None:
    async with ScriptedUpstream(answering(ok(WHOLE, JSON))) as upstream:
        assert await text_of(backend(upstream).create_async_generator("m", ASKED)) == "Hello"


async def test_refusals_are_read_in_the_dialect() -> None:
    body = json.dumps({"error": {"message": f"slow down, {KEY}", "code": "rate_limit_exceeded"}}).encode()
    refused = ok(body, JSON, "Retry-After: 7", status="429 Too Many Requests")
    async with ScriptedUpstream(answering(refused, refused, refused)) as upstream:
        provider = backend(upstream)
        for ask in (
            lambda: text_of(provider.create_async_generator("m", ASKED)),
            provider.list_models,
            lambda: provider.fetch("GET", "/x"),
        ):
            with pytest.raises(RateLimitError, match="slow down") as caught:
                await ask()
            assert caught.value.retry_after_seconds == 7
            assert (caught.value.status, caught.value.kind) == (429, "rate_limit_exceeded")
            assert KEY not in str(caught.value)


# --- models -----------------------------------------------------------------------------------------------------------


async def test_models_are_read_page_by_page() -> None:
    pages = [
        ok(json.dumps({"data": [{"id": each, "type": "model"}], "has_more": more, "last_id": each}).encode(), JSON)
        for each, more in (("a", True), ("b", True), ("c", False))
    ]
    async with ScriptedUpstream(answering(*pages)) as upstream:
        models = await backend(upstream, "anthropic").list_models()
        asked = [request.target.partition("?")[::2] for request in upstream.requests]
    assert [(model.id, model.provider) for model in models] == [
        ("a", "anthropic"),
        ("b", "anthropic"),
        ("c", "anthropic"),
    ]
    assert {path for path, _ in asked} == {"/v1/models"}
    assert ["after_id=a" in query for _, query in asked] == [False, True, False]
    assert "after_id=b" in asked[2][1]


async def test_a_list_of_models_without_end_is_left() -> None:
    page = ok(b'{"data": [{"id": "a", "type": "model"}], "has_more": true, "last_id": "a"}', JSON)
    async with ScriptedUpstream(answering(*[page] * 60)) as upstream:
        models = await backend(upstream, "anthropic").list_models(api_key="sk-other")
        assert len(models) == len(upstream.requests) == 50
        assert upstream.requests[-1].headers["x-api-key"] == "sk-other"


async def test_models_are_those_of_the_row_where_none_can_be_asked_for() -> None:
    provider = DialectProvider(msgspec.structs.replace(row("openai"), models_path=None, models=("a", "b")))
    assert [(model.id, model.provider) for model in await provider.list_models()] == [("a", "openai"), ("b", "openai")]


# --- counting ---------------------------------------------------------------------------------------------------------


async def test_tokens_are_counted_with_pictures() -> None:
    async with ScriptedUpstream(answering(ok(b'{"input_tokens": 12}', JSON))) as upstream:
        provider = backend(upstream, "anthropic")
        png = b"\x89PNG\r\n\x1a\n" + bytes(24)
        assert await provider.count_tokens("m", ASKED, media=[(png, "a.png")], extra_headers={"X-Own": "1"}) == 12
        (request,) = upstream.requests
    assert request.headers["x-own"] == "1"
    assert [part["type"] for part in json.loads(request.body)["messages"][0]["content"]] == ["text", "image"]


async def test_who_does_not_count_is_not_asked() -> None:
    async with ScriptedUpstream() as upstream:
        with pytest.raises(UnsupportedFeatureError, match="openai does not count tokens"):
            await backend(upstream).count(parse_call("m", ASKED))
        assert upstream.connections == 0


# --- questions with one answer ----------------------------------------------------------------------------------------


async def test_a_question_and_its_answer() -> None:
    async with ScriptedUpstream(answering(ok(b"one"), ok(b"two"))) as upstream:
        provider = backend(upstream)
        options = CallOptions(extra_headers={"X-Call": "2"}, extra_query={"b": "2"})
        found = await provider.fetch(
            "POST", "/x", body=b"[]", query={"a": "1"}, options=options, headers={"content-type": "text/plain"}
        )
        assert found == b"one"
        assert await provider.fetch("POST", f"{upstream.url}/whole", body=b"[]") == b"two"
        first, second = upstream.requests
    assert (first.target, first.body) == ("/v1/x?a=1&b=2", b"[]")
    assert (first.headers["content-type"], first.headers["x-call"]) == ("text/plain", "2")
    assert (second.target, second.headers["content-type"]) == ("/whole", "application/json")
    assert second.headers["authorization"] == first.headers["authorization"] == f"Bearer {KEY}"


async def test_an_answer_over_the_cap_is_not_kept() -> None:
    begun = head(JSON, "Content-Length: 5000") + bytes(2000)
    async with ScriptedUpstream([ReadRequest(), Send(begun), ExpectEOF()]) as upstream:
        with pytest.raises(TooLargeError, match="1000 bytes"):
            await backend(upstream).fetch("GET", "/x", max_bytes=1000)
        await upstream.closed()


async def test_a_question_has_a_deadline() -> None:
    async with ScriptedUpstream([ReadRequest(), ExpectEOF()]) as upstream:
        with pytest.raises(TotalTimeout):
            await backend(upstream).fetch("GET", "/x", options=CallOptions(deadlines=Deadlines(total=0.03)))
        await upstream.closed()


async def test_a_list_of_models_that_is_none() -> None:
    async with ScriptedUpstream(answering(ok(b"<html>", "Content-Type: text/html"))) as upstream:
        with pytest.raises(DecodeError):
            await backend(upstream).list_models()
