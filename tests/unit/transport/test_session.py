"""Sessions: what they refuse before anything is sent, and what they never show."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from backstream.credentials import Secret
from backstream.errors import ConfigurationError, ConnectError
from backstream.options import Deadlines
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from backstream.transport.fetch import fetch_json
from backstream.transport.session import StreamSession

NOWHERE = "http://127.0.0.1:1/"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "headers",
    [
        {"X\r\nY": "canary"},
        {"X": "a\r\nY: canary"},
        {"X": "canary\0"},
        {"X": "canary €"},
        {"": "canary"},
        {"X Y": "canary"},
        {"Ü": "canary"},
        {"X": 1},
        {1: "canary"},
        {"Content-Length": "canary"},
        {"Transfer-Encoding": "canary"},
        {"Expect": "canary"},
    ],
)
def test_header_fields_that_cannot_be_sent_are_refused_without_their_values(headers: dict[Any, Any]) -> None:
    for call in (lambda: StreamSession(headers), lambda: StreamSession().get(NOWHERE, headers=headers)):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_line_bytes": 0},
        {"max_line_bytes": True},
        {"max_line_bytes": "1"},
        {"deadlines": 3},
        {"timeout": -1},
        {"timeout": (1, 2, 3)},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        StreamSession(**settings)


def test_a_deadline_of_a_request_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="deadlines"):
        StreamSession().get(NOWHERE, deadlines=3)  # type: ignore[typeddict-item]


@pytest.mark.parametrize("name", ["impersonate", "timeout", "proxy"])
def test_an_unknown_keyword_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        StreamSession().get(NOWHERE, **{name: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        StreamSession(impersonate="chrome")  # type: ignore[call-arg]


def test_nothing_shown_holds_a_header_value() -> None:
    session = StreamSession({"Authorization": "Bearer canary", "X-Key": Secret("canary")})
    request = session._prepare("POST", NOWHERE + "?key=canary", json={"prompt": "canary"})
    for shown in (session, request, session.get(NOWHERE)):
        assert "canary" not in f"{shown!r} {shown!s}"


def test_the_seven_verbs_take_the_same_options() -> None:
    verbs = [getattr(StreamSession, verb) for verb in ("get", "post", "put", "patch", "delete", "head", "options")]
    assert {str(inspect.signature(verb)) for verb in verbs} == {str(inspect.signature(StreamSession.get))}


async def _sent(session: StreamSession, **options: Any) -> dict[str, str]:
    async with ScriptedUpstream([ReadRequest(), Send(FINE)]) as upstream:
        async with session.post(upstream.url, **options) as response:
            assert response.ok
        request = upstream.requests[0]
        assert request.head.endswith(b"\r\n\r\n")
        return dict(request.headers)


async def test_the_fields_of_a_request_replace_those_of_the_session_whatever_their_case() -> None:
    session = StreamSession({"X-A": "1", "x-b": "1", "Accept": "text/event-stream", "Accept-Encoding": "br"})
    sent = await _sent(session, headers={"x-a": " 2\t", "X-C": None, "Connection": "close"}, data=b"x")
    assert sent["x-a"] == "2"
    assert sent["x-b"] == "1"
    assert sent["accept"] == "text/event-stream"
    assert sent["accept-encoding"] == "identity"
    assert sent["user-agent"].startswith("backstream/")
    assert "x-c" not in sent
    assert "connection" not in sent


async def test_host_and_user_agent_can_be_chosen() -> None:
    sent = await _sent(StreamSession({"Host": "virtual.example", "User-Agent": "me/1"}))
    assert (sent["host"], sent["user-agent"]) == ("virtual.example", "me/1")


async def test_a_secret_is_written_only_to_its_origin() -> None:
    tokens = iter(["first", "second"])
    rotating = StreamSession({"Authorization": Secret(lambda: next(tokens))})
    assert [(await _sent(rotating))["authorization"] for _ in range(2)] == ["first", "second"]
    bound = StreamSession({"X-Key": Secret("canary", origin="https://elsewhere.example")})
    with pytest.raises(ConfigurationError, match=r"bound to https://elsewhere\.example") as caught:
        await bound.get(NOWHERE)
    assert "canary" not in str(caught.value)


async def test_a_secret_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        await StreamSession({"X-Key": Secret("canary €")}).get(NOWHERE)
    assert "canary" not in str(caught.value)


async def test_a_pending_response_can_be_awaited_or_entered() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(FINE), ReadRequest(), Send(FINE)]) as upstream:
        session = StreamSession(timeout=5, deadlines=Deadlines(total=5))
        response = await session.get(upstream.url)
        assert await response.text() == "{}"
        async with session.get(upstream.url) as response:
            assert await response.json() == {}
        async with response:
            assert await response.read_block() == b""


async def test_small_documents_are_fetched() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(FINE)]) as upstream:
        assert await fetch_json(upstream.url + "/models", headers={"X": "y"}) == {}
        assert upstream.requests[0].target == "/models"


async def test_a_refused_connection_is_told_in_plain_words() -> None:
    async with ScriptedUpstream() as upstream:
        port = upstream.port
    with pytest.raises(ConnectError, match=f"^no connection to 127.0.0.1 port {port}: connection refused$"):
        await StreamSession().get(f"http://127.0.0.1:{port}/")
