"""A back-end that repeats our key wherever it can: no error, service value or log shows it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from backstream import BackstreamError, DecodeError
from backstream.providers.dialect_provider import DialectProvider
from backstream.registry.rows import row_at
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send
from support_transport import no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-canary-key-7d1f0a93b2"
ASKED: Any = [{"role": "user", "content": "Hi"}]
EVENTS = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    before = root.level
    root.setLevel(1)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    root.setLevel(before)


def check(*shown: object) -> None:
    for each in shown:
        assert KEY not in str(each)
        assert KEY not in repr(each)


def check_error(error: BaseException | None) -> None:
    while error is not None:
        members = {name: value for name, value in vars(error).items() if name not in ("body", "received")}
        check(error, error.args, members)
        error = error.__cause__ or error.__context__


ANSWERS = {
    "refusal": ok(f'{{"error": {{"message": "no {KEY}", "code": "{KEY}"}}}}'.encode(), status="401 Unauthorized"),
    "error in the stream": ok(f'data: {{"error": {{"message": "no {KEY}"}}}}\n\n'.encode()),
    "page": ok(f"<p>{KEY}".encode(), f"Content-Type: text/{KEY}"),
    "elsewhere": ok(b"", f"Location: https://{KEY}.example.com/", status="307 Temporary Redirect"),
    "bad target": ok(b"", f"Location: ht!tp://{KEY}", status="307 Temporary Redirect"),
}


@pytest.mark.parametrize("in_query", [False, True])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
async def test_no_canary_of_what_a_back_end_repeats(answer: bytes, in_query: bool, logged: io.StringIO) -> None:
    async with ScriptedUpstream(*[[ReadRequest(), Send(answer), Close()]] * 2) as upstream:
        provider = DialectProvider(row_at(upstream.url), None if in_query else KEY)
        query: Any = {"extra_query": {"key": KEY}} if in_query else {}
        with pytest.raises(BackstreamError) as raised:
            [chunk async for chunk in provider.create_async_generator("m", ASKED, **query)]
        check_error(raised.value)
        with pytest.raises(BackstreamError) as raised:
            await provider.embed("m", "Hi", **query)
        check_error(raised.value)
    check(logged.getvalue())


async def test_no_canary_in_what_a_service_says_beside_the_answer(logged: io.StringIO) -> None:
    fields = (f"x-request-id: id of {KEY}", f"x-ratelimit-reset-tokens: {KEY}", "Content-Type: text/event-stream")
    async with ScriptedUpstream([ReadRequest(), Send(ok(EVENTS, *fields)), Close()]) as upstream:
        result = DialectProvider(row_at(upstream.url), KEY).create_async_generator("m", ASKED)
        assert "Hi" in [str(chunk) async for chunk in result]
        assert result.service is not None
        assert result.service.request_id == "id of …"
        check(result.service, result.receipts, result.end, logged.getvalue())


async def test_no_canary_in_the_type_of_a_sound() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ANSWERS["page"]), Close()]) as upstream:
        with pytest.raises(DecodeError, match="no sound") as raised:
            await DialectProvider(row_at(upstream.url), KEY).speech("m", "Hi", "v")
        check_error(raised.value)


async def test_a_short_parameter_of_the_url_is_no_secret() -> None:
    refusal = ok(b'{"error": {"message": "5 is too few"}}', status="400 Bad Request")
    async with ScriptedUpstream([ReadRequest(), Send(refusal), Close()]) as upstream:
        provider = DialectProvider(row_at(upstream.url))
        with pytest.raises(BackstreamError, match="5 is too few"):
            [chunk async for chunk in provider.create_async_generator("m", ASKED, extra_query={"max_tokens": "5"})]
