"""The client's trace: what is valid, and that it reaches the provider."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import BackendApi
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.server import create_app
from backstream.server.asgi import Request
from backstream.server.trace import PassedOn, parse_trace
from support_server import provider_of, running

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CHAT = {"model": "one", "messages": [{"role": "user", "content": "Hi"}]}


def request_with(*fields: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": fields})


def test_a_valid_trace_is_read() -> None:
    context = parse_trace(
        request_with((b"TraceParent", PARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b" b=2 , ,c@d=x y"))
    )
    assert context is not None
    assert (context.trace_id, context.parent_id, context.sampled) == (TRACE, SPAN, True)
    assert dict(context.fields) == {"traceparent": PARENT, "tracestate": "a=1,b=2,c@d=x y"}
    assert PassedOn(context).ask() == context.fields


def test_without_state_none_is_passed_on() -> None:
    context = parse_trace(request_with((b"traceparent", f"00-{TRACE}-{SPAN}-02".encode())))
    assert context is not None
    assert not context.sampled
    assert list(context.fields) == ["traceparent"]


@pytest.mark.parametrize("parent", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be"])
def test_a_later_version_is_taken_as_far_as_it_is_known(parent: str) -> None:
    assert parse_trace(request_with((b"traceparent", parent.encode()))) is not None


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
        f"{PARENT}\xff",
        f"{PARENT}, {PARENT}",
    ],
)
def test_a_malformed_trace_is_none(parent: str) -> None:
    assert parse_trace(request_with((b"traceparent", parent.encode("latin-1")), (b"tracestate", b"a=1"))) is None


def test_two_traces_are_none() -> None:
    assert parse_trace(request_with((b"traceparent", PARENT.encode()), (b"traceparent", PARENT.encode()))) is None


@pytest.mark.parametrize(
    "state",
    [
        "a",
        "A=1",
        "a=1,a=2",
        "a=",
        "a=b=c",
        "=1",
        "a=\xff",
        f"{'k' * 257}=1",
        f"a={'v' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
        ",".join(f"k{number}={'v' * 256}" for number in range(32)) + "," * 200,
    ],
)
def test_a_malformed_state_is_dropped_and_the_rest_stays(state: str) -> None:
    fields = (b"traceparent", PARENT.encode()), (b"tracestate", state.encode("latin-1"))
    context = parse_trace(request_with(*fields))
    assert context is not None
    assert dict(context.fields) == {"traceparent": PARENT}


@pytest.mark.parametrize("provider", ["class", "instance"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/backend-api/v2/conversation"])
async def test_the_provider_gets_it(provider: str, path: str) -> None:
    seen: list[dict[str, str]] = []

    async def asked(*args: Any, **kwargs: Any) -> Any:
        yield "Hi"

    upstream = create_app([provider_of(asked)], settings_without_keys())
    upstream.observers.append(lambda record: seen.append(dict(record.trace.ask()) if record.trace else {}))
    async with running(app=upstream) as behind, running([provider_to(behind.url, provider)]) as server:
        headers = {"traceparent": PARENT, "tracestate": "a=1"}
        assert (await server.ask("POST", path, CHAT, headers=headers)).status == 200
        assert (await server.ask("POST", path, CHAT, headers={"traceparent": "00-1-2-3"})).status == 200
    assert seen == [{"traceparent": PARENT, "tracestate": "a=1"}, {}]


def settings_without_keys() -> Any:
    from backstream.server import Settings

    return Settings(keys_file=None)


def provider_to(url: str, kind: str) -> Any:
    if kind == "class":
        return type("Behind", (BackendApi,), {"url": url, "models": ["one"]})
    row = Row(
        name="behind",
        label="Behind",
        url=f"{url}/v1",
        dialect="openai_chat",
        documentation="https://example.org",
        default_model="one",
        models=("one",),
        key_needed=False,
    )
    return DialectProvider(row)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/backend-api/v2/conversation"])
async def test_a_class_that_knows_no_options_gets_none(path: str) -> None:
    seen: list[set[str]] = []

    async def asked(model: str, messages: Any, **kwargs: Any) -> Any:
        seen.append(set(kwargs))
        yield "Hi"

    class Own(BackendApi):
        default_model = "one"

        @classmethod
        def create_async_generator(cls, model: Any, messages: Any, media: Any = None, api_key: Any = None) -> Any:
            return asked(model, messages)

    for provider in (provider_of(asked), Own):
        async with running([provider]) as server:
            answer = await server.ask("POST", path, CHAT, headers={"traceparent": PARENT})
        assert b"Hi" in answer.body
    assert all(not names & {"options", "extra_headers"} for names in seen)
    assert len(seen) == 2
