"""Three secrets that show nowhere: a key, a prompt, a data URI; in no log at any level, no error, and no ``repr``."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from backstream import (
    BackendApi,
    BackstreamError,
    CallOptions,
    ConfigurationError,
    Deadlines,
    RefusedError,
    Secret,
    StreamSession,
    sync_iter,
)
from backstream.dialects.backend_api import render_request
from backstream.providers.http_provider import BackendSpec
from backstream.server.embedded import start_embedded
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send
from backstream.transport.media import load_media
from support_transport import CHUNKED, LAST_CHUNK, chunk, no_leaks, ok

__all__ = ["no_leaks"]  # a fixture

KEY = "sk-canary-key-7d1f0a93b2"
PROMPT = "canary prompt about a lighthouse"
PICTURE = b"\x89PNG\r\n\x1a\n" + b"canary picture" * 20
DATA = base64.b64encode(PICTURE).decode()
PASSWORD = "canary-proxy-password"

CANARIES = (KEY, PROMPT, DATA[:40], DATA[-40:], "canary picture", PASSWORD)

ASKED: Any = {"messages": [{"role": "user", "content": PROMPT}], "media": [(PICTURE, "a.png")], "api_key": KEY}


@pytest.fixture
def nothing_left() -> None:
    """Look for nothing: the embedded backend stays until its loop ends, the loop of the façade until the end."""


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Every logger of the process at its finest level, with asyncio's own debugging."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    before = root.level
    root.setLevel(1)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    root.setLevel(before)


def check(*texts: object) -> None:
    for shown in texts:
        for canary in CANARIES:
            assert canary not in str(shown)
            assert canary not in repr(shown)


def check_error(error: BaseException) -> None:
    """An error as every reporter shows it: text, repr, the chain of causes; frames show source lines, not values."""
    check("".join(traceback.format_exception(error)))
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        check(str(current), repr(current), current.args)
        current = current.__cause__ or current.__context__


REFUSED = ok(f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode(), status="401 Unauthorized")
PAGE = ok(f"<html>you said {PROMPT} {KEY}</html>".encode(), "Content-Type: text/html")

SCRIPTS = {
    "whole": [Send(CHUNKED + chunk(b'{"type":"content","content":"fine"}\n') + LAST_CHUNK)],
    "refused": [Send(ok(b'{"error": "no"}', status="400 Bad Request"))],
    "cut": [Send(CHUNKED + chunk(b'{"type":"content","content":"fine"}\n')), Close()],
    "no answer": [Close()],
    "not JSON": [Send(CHUNKED + chunk(b"data: {nonsense\n\n"))],
    "not HTTP": [Send(b"nonsense\r\n\r\n")],
    "stalled": [],
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_no_canary_in_logs_and_errors_of_the_client(
    script: str, everything_logged: io.StringIO, no_leaks: None
) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with ScriptedUpstream([ReadRequest(), *SCRIPTS[script]]) as upstream:

        class Home(BackendApi):
            url = upstream.url
            headers = {"Authorization": f"Bearer {KEY}"}

        answer = Home.create_async_generator(
            "m",
            **ASKED,
            options=CallOptions(proxy=f"http://user:{PASSWORD}@127.0.0.1:9", deadlines=Deadlines(idle=0.05)),
        )
        check(answer)
        try:
            async for piece in answer:
                check(piece)
        except BackstreamError as error:
            check_error(error)
        else:
            assert script == "whole"
        body = upstream.requests[0].body.decode()
        assert KEY in body
        assert DATA in body
        check(answer, answer.end)
    log = everything_logged.getvalue()
    assert "key:" in log  # the masked form, by which two keys are told apart
    check(log)


@pytest.mark.parametrize("model", ["echo", "echo-fail-start", "echo-fail-middle", "echo-fail-auth", "no-such-model"])
async def test_no_canary_in_logs_and_errors_of_both_sides(model: str, everything_logged: io.StringIO) -> None:
    """Client and embedded server in one process, which logs everything either says."""
    asyncio.get_running_loop().set_debug(True)
    await start_embedded()
    try:
        async for _ in BackendApi.create_async_generator(model, **ASKED, extra="x"):
            pass
    except BackstreamError as error:
        check_error(error)
    check(everything_logged.getvalue())


def test_no_canary_in_the_sync_facade(everything_logged: io.StringIO) -> None:
    answer = BackendApi.create_async_generator("echo-fail-middle", **ASKED)
    with pytest.raises(BackstreamError) as caught:
        list(sync_iter(answer))
    check_error(caught.value)
    check(everything_logged.getvalue())


@pytest.mark.parametrize("refusal", [REFUSED, PAGE], ids=["error body", "page"])
async def test_what_a_server_repeats_of_the_key_in_our_header_is_blotted_out(refusal: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(refusal)]) as upstream:

        class Home(BackendApi):
            url = upstream.url
            headers = {"Authorization": f"Bearer {KEY}"}

        with pytest.raises(BackstreamError) as caught:
            await anext(Home.create_async_generator("m", [{"role": "user", "content": "Hi"}]))
        assert KEY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("cut", [0, 270, 284, 290], ids=lambda size: f"{size} characters before it")
@pytest.mark.parametrize(
    "answer",
    [
        '{"error": {"message": "WORDS"}}',
        '{"type": "error", "error": "X", "message": "WORDS"}\n',
        'data: {"type": "auth", "auth": "MissingAuthError", "message": "WORDS", "kind": "WORDS"}',
        '{"type": "error", "error": {"message": "no", "code": "WORDS"}}\n',
    ],
)
async def test_what_a_server_repeats_of_the_key_in_our_body_is_blotted_out(answer: str, cut: int) -> None:
    """Also where the back-end's words are cut in the middle of it."""
    key = "hunter2 pass"
    words = f"{'-' * cut} bad key {key} in {DATA}"
    status = "401 Unauthorized" if answer.startswith('{"error"') else "200 OK"
    reply = ok(answer.replace("WORDS", words).encode(), "Content-Type: application/json", status=status)
    async with ScriptedUpstream([ReadRequest(), Send(reply)]) as upstream:

        class Home(BackendApi):
            url = upstream.url

        with pytest.raises(RefusedError) as caught:
            await anext(Home.create_async_generator("m", [{"role": "user", "content": "Hi"}], api_key={"P": key}))
        shown = str(caught.value) + repr(caught.value)
        assert "hunt" not in shown
        assert "canary picture" not in shown
        assert DATA[:8] not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": KEY + "\n"},
        {"api_key": 7, "extra": KEY},
        {"messages": PROMPT},
        {"messages": [PROMPT]},
        {"messages": [{"role": "user", "content": PROMPT + "\ud83d"}]},
        {"media": DATA},
        {"media": [DATA]},
        {"media": [(f"data:image/png;base64,{DATA}!", "a.png")]},
        {"options": KEY},
        {"proxy": f"nonsense://user:{PASSWORD}@h"},
        {"extra": object(), "other": KEY},
    ],
)
async def test_no_canary_in_the_callers_errors(wrong: dict[str, Any]) -> None:
    class Home(BackendApi):
        url = "http://backend.invalid"

    with pytest.raises(BackstreamError) as caught:
        await anext(Home.create_async_generator("m", **{**ASKED, "media": None, **wrong}))
    check_error(caught.value)


@pytest.mark.parametrize("url", [f"http://user:{PASSWORD}@h", f"http://h/?key={KEY}", f"nonsense {KEY}", "None", ""])
def test_no_canary_in_the_errors_of_a_url(url: str) -> None:
    class Home(BackendApi):
        pass

    Home.url = url
    with pytest.raises(BackstreamError) as caught:
        Home.create_async_generator("m", [])
    check_error(caught.value)


def test_no_canary_in_the_repr_of_anything_that_holds_one() -> None:
    items = load_media(ASKED["media"])
    body = render_request("m", ASKED["messages"], items, Secret(KEY))
    check(
        Secret(KEY),
        [Secret(KEY)],
        items,
        [piece for piece in body if not isinstance(piece, bytes)],
        StreamSession(headers={"Authorization": f"Bearer {KEY}"}, proxy=f"http://user:{PASSWORD}@h:1"),
        BackendSpec(name="Home", url="http://h", headers={"Authorization": KEY}),
        CallOptions(proxy=f"http://user:{PASSWORD}@h:1", extra_headers={"x-api-key": KEY}, extra_body={"key": KEY}),
        StreamSession().post("http://h/", json={"key": KEY}, headers={"x-api-key": KEY}),
    )


@pytest.mark.parametrize("api_key", [Secret(KEY, origin="https://h"), {"P": Secret(KEY, origin="https://h")}])
async def test_a_key_bound_to_another_origin_is_not_sent(api_key: Any) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:

        class Home(BackendApi):
            url = upstream.url

        with pytest.raises(ConfigurationError, match="bound to https://h") as caught:
            await anext(Home.create_async_generator("m", [{"role": "user", "content": "Hi"}], api_key=api_key))
        check_error(caught.value)
        assert upstream.connections == 0
