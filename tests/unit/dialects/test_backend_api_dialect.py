"""The backend-api dialect: requests, streams, failures, both directions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream import errors
from backstream.chunks import AuthEvent, Content, ErrorEvent, Finish, RawResponse, Usage
from backstream.credentials import Secret
from backstream.dialects.backend_api import (
    BackendApiParser,
    parse_failure,
    render_block,
    render_failure,
    render_request,
)
from backstream.dialects.backend_api.request import KeySegment
from backstream.dialects.backend_api.stream import decode_event
from backstream.media.item import MediaItem
from backstream.reply import End
from backstream.wire.http import Body

KEY = "sk-canary-0123456789"
HI = [{"role": "user", "content": "Hi"}]


def written(body: Body) -> bytes:
    """The body as the transport writes it; every announced size must hold."""
    pieces = []
    for piece in body:
        if isinstance(piece, bytes):
            pieces.append(piece)
            continue
        size = piece.size
        data = b"".join(piece.blocks())
        assert size is None or size == len(data)
        pieces.append(data)
    return b"".join(pieces)


def item(data: bytes, name: str | None) -> MediaItem:
    def blocks() -> Iterator[bytes]:
        yield data

    return MediaItem(media_type="image/png", filename=name, size=len(data), blocks=blocks)


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_plain_request_is_one_write_and_sends_only_what_is_set() -> None:
    body = render_request("echo", HI)
    assert list(body) == [b'{"model":"echo","messages":[{"role":"user","content":"Hi"}]}']


def test_a_full_request() -> None:
    media = [item(b"abc", "a.png"), MediaItem(media_type="", url="https://h/b.png"), item(b"", None)]
    body = render_request("m", HI, media, Secret(KEY), {"temperature": 0.7, "conversation": None, "text": "é\u2028"})
    assert json.loads(written(body)) == {
        "model": "m",
        "messages": HI,
        "media": [
            ["data:image/png;base64,YWJj", "a.png"],
            ["https://h/b.png", None],
            ["data:image/png;base64,", None],
        ],
        "api_key": KEY,
        "temperature": 0.7,
        "conversation": None,
        "text": "é\u2028",
    }
    assert list(json.loads(written(body)))[:4] == ["model", "messages", "media", "api_key"]


def test_a_key_for_each_provider() -> None:
    body = render_request("m", HI, api_key={"A": Secret("ka"), "B": Secret("kb")})
    assert json.loads(written(body))["api_key"] == {"A": "ka", "B": "kb"}


def test_the_key_is_in_no_repr_and_rotates() -> None:
    keys = iter(["one", "other"])
    segment = KeySegment(Secret(lambda: next(keys)))
    assert segment.size == len('"one"')
    assert b"".join(segment.blocks()) == b'"one"'
    assert b"".join(segment.blocks()) == b'"other"'
    assert KEY not in repr(list(render_request("m", HI, api_key=Secret(KEY))))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"x": object()}, "x cannot be written as JSON"),
        ({"x": {1, "a", ("b",)}, "y": float}, "y cannot be written"),
    ],
)
def test_what_is_no_json_is_refused_by_name(members: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says):
        written(render_request("m", HI, members=members))


def test_a_lone_surrogate_is_refused_without_quoting_the_prompt() -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        render_request("m", [{"role": "user", "content": "PROMPT\ud83d"}])
    assert "PROMPT" not in str(caught.value) + repr(caught.value.__context__ and caught.value.__cause__)


def test_a_circular_value_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(errors.InvalidRequestError, match="x cannot be written"):
        render_request("m", HI, members={"x": ring})


# --- streams ----------------------------------------------------------------------------------------------------------

ANSWER: list[RawResponse] = [
    RawResponse.from_dict({"type": "provider", "provider": {"name": "P"}}),
    Content(content="Hel"),
    RawResponse.from_dict({"type": "reasoning", "token": None, "status": ""}),
    Content(content="lo\nthere\r \u2028 é 😀"),
    RawResponse.from_dict({"type": "custom_x", "foo": [1, {"a": None}]}),
    Finish(finish={"reason": "stop"}),
    Usage(usage={"total_tokens": 3}),
]


@pytest.mark.parametrize("framing", ["sse", "jsonl"])
@pytest.mark.parametrize("cut", ["whole", "bytes", "lines"])
def test_what_a_server_renders_a_client_parses(framing: Any, cut: str) -> None:
    data = render_block(ANSWER, framing)
    pieces = {"whole": [data], "bytes": [data[i : i + 1] for i in range(len(data))], "lines": data.splitlines(True)}
    parser = BackendApiParser()
    block = [chunk for piece in pieces[cut] for chunk in parser.feed(piece)]
    assert block == ANSWER
    assert parser.finish(framed=True) == [End("complete", ("finish", "framed"))]


def test_the_bytes_of_both_framings() -> None:
    chunk = Content(content="é")
    assert render_block([chunk], "sse") == 'event: content\ndata: {"type":"content","content":"é"}\n\n'.encode()
    assert render_block([chunk], "jsonl") == '{"type":"content","content":"é"}\n'.encode()


def test_a_type_cannot_inject_a_field() -> None:
    evil = RawResponse.from_dict({"type": "x\ndata: {}\n\nevent: y", "a": "b\n\nc"})
    data = render_block([evil], "sse")
    assert data.count(b"\n") == 3
    assert BackendApiParser().feed(data) == [evil]


def end_of(data: bytes, *, framed: bool) -> End:
    parser = BackendApiParser()
    block = parser.feed(data)
    if not (block and isinstance(block[-1], End)):
        block = parser.finish(framed=framed)
    assert isinstance(block[-1], End)
    return block[-1]


CONTENT = b'data: {"type":"content","content":"x"}\n\n'
FINISH = b'data: {"type":"finish","finish":{"reason":"length"}}\n\n'


@pytest.mark.parametrize(
    ("data", "framed", "state", "evidence"),
    [
        (CONTENT + FINISH, False, "complete", ("finish",)),
        (CONTENT + FINISH + CONTENT, False, "complete", ("finish",)),
        (CONTENT, True, "complete", ("framed",)),
        (CONTENT + b"data: [DONE]\n\n", False, "complete", ("done",)),
        (CONTENT, False, "incomplete", ("closed",)),
        (CONTENT + b'data: {"type":"con', True, "incomplete", ("cut event",)),
        (CONTENT + CONTENT.rstrip(b"\n"), False, "incomplete", ("closed",)),
        (CONTENT + FINISH.rstrip(b"\n"), False, "complete", ("finish",)),
        (b"", True, "failed", ("framed",)),
        (b"<html>\n", True, "failed", ("framed",)),
        (CONTENT + b'data: {"type":"error","error":"E"}\n\n' + FINISH, True, "failed", ("error",)),
    ],
)
def test_how_a_stream_ended(data: bytes, framed: bool, state: str, evidence: tuple[str, ...]) -> None:
    end = end_of(data, framed=framed)
    assert (end.state, end.evidence) == (state, evidence)
    assert (end.error is None) == (state == "complete")


def test_an_error_comes_behind_the_chunks_before_it_and_nothing_follows() -> None:
    parser = BackendApiParser()
    failure = b'data: {"type":"error","error":"RateLimitError","message":"RateLimitError: slow"}\n\n'
    first, end = parser.feed(CONTENT + failure + CONTENT)
    assert first == Content(content="x")
    assert isinstance(end, End)
    assert isinstance(end.error, errors.RateLimitError)
    assert parser.feed(CONTENT) == []
    assert parser.finish(framed=True) == []


def test_a_damaged_record_at_the_very_end_is_an_error() -> None:
    end = end_of(CONTENT + b'data: {"type":"error","error":"E"}', framed=True)
    assert (end.state, end.evidence) == ("failed", ("error",))


def test_a_damaged_event_is_named_by_its_place() -> None:
    parser = BackendApiParser()
    parser.feed(CONTENT)
    block = parser.feed(CONTENT + b"data: {nonsense}\n\n" + CONTENT)
    assert len(block) == 2
    assert isinstance(block[1], End)
    assert str(block[1].error) == "event 2: the event is not JSON"


@pytest.mark.parametrize(
    ("frame", "members"),
    [
        (b'{"type":"content","content":"\\ud83d"}', {"type": "content", "content": "\ufffd"}),
        (b'{"type":"content","content":"\\ud83d\\ude00"}', {"type": "content", "content": "😀"}),
        (b'{"type":"content","content":"a\xffb"}', {"type": "content", "content": "a\ufffdb"}),
        (b'{"type":"content","content":"a","content":"b"}', {"type": "content", "content": "b"}),
        (b'{"type":"usage","usage":{"n":1e999}}', None),
        (b'{"type":"usage","usage":{"n":NaN}}', None),
        (b'{"type":"content"', None),
        (b"[1]", None),
        (b"null", None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None),
        (b'{"\xff":' * 50_000, None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_json_as_peers_really_send_it(frame: bytes, members: dict[str, Any] | None) -> None:
    if members is not None:
        assert decode_event(frame).get_dict() == members
        return
    with pytest.raises(errors.DecodeError):
        decode_event(frame)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_end_in_a_documented_error(data: bytes) -> None:
    parser = BackendApiParser()
    block = [*parser.feed(data), *parser.finish(framed=True)]
    ends = [chunk for chunk in block if isinstance(chunk, End)]
    assert len(ends) == 1
    assert block[-1] is ends[0]
    assert ends[0].error is None or isinstance(ends[0].error, errors.BackstreamError)


def test_a_line_over_the_cap_is_an_error_that_names_the_cap() -> None:
    parser = BackendApiParser(max_line_bytes=100)
    (end,) = parser.feed(b"data: " + b"x" * 200)
    assert isinstance(end, End)
    assert isinstance(end.error, errors.TooLargeError)
    assert "max_line_bytes" in str(end.error)
    assert parser.feed(b"x") == parser.finish(framed=True) == []


def test_chunks_before_an_endless_line_come_with_its_error_at_once() -> None:
    """The error must not wait for bytes that may never come."""
    parser = BackendApiParser(max_line_bytes=100)
    first, end = parser.feed(CONTENT + b"data: " + b"x" * 200)
    assert first == Content(content="x")
    assert isinstance(end, End)
    assert isinstance(end.error, errors.TooLargeError)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "cls", "text"),
    [
        ({"type": "error", "error": "RateLimitError", "message": "RateLimitError: slow"}, "RateLimitError", "slow"),
        ({"type": "error", "error": "ValueError", "message": "ValueError: no"}, "RefusedError", "no (ValueError)"),
        ({"type": "error", "error": "ValueError: old servers"}, "RefusedError", "ValueError: old servers"),
        ({"type": "error", "error": "ModelNotFoundError"}, "ModelNotFoundError", "ModelNotFoundError"),
        ({"type": "error", "error": "PaymentRequiredError"}, "PaymentError", ""),
        ({"type": "error", "error": "ProviderNotFoundError"}, "BackendRequestError", ""),
        ({"type": "error"}, "RefusedError", "reported an error"),
        ({"type": "auth", "auth": "MissingAuthError", "message": "m: add a key"}, "AuthenticationError", "add a key"),
        ({"type": "auth"}, "AuthenticationError", ""),
        ({"error": {"message": "Invalid JSON data", "code": "bad"}}, "RefusedError", "Invalid JSON data"),
        ({"error": "plain"}, "RefusedError", "plain"),
        ({"type": "error", "error": "X", "kind": "UnavailableError", "status": 503}, "UnavailableError", "503"),
        ({"type": "error", "error": "X", "status": True, "retry_after_seconds": "soon"}, "RefusedError", ""),
    ],
)
def test_failures_are_told_apart_by_code(event: dict[str, Any], cls: str, text: str) -> None:
    failure = parse_failure(RawResponse.from_dict(event))
    assert type(failure).__name__ == cls
    assert text in str(failure)


@pytest.mark.parametrize("wait", [-1, 86401, 10**400, 1e300, True])
@pytest.mark.parametrize("status", [-1, 0, 99, 600, 10**400])
def test_numbers_that_cannot_be_are_left_out(wait: Any, status: Any) -> None:
    failure = parse_failure(
        RawResponse.from_dict({"type": "error", "error": "X", "status": status, "retry_after_seconds": wait})
    )
    assert isinstance(failure, errors.RefusedError)
    assert (failure.status, failure.retry_after_seconds) == (None, None)


def test_a_cut_answer_behind_a_relay_is_a_cut_answer_here() -> None:
    event = render_failure(errors.IncompleteStream("the connection closed"))
    assert isinstance(parse_failure(event), errors.IncompleteStream)
    end = end_of(CONTENT + render_block([event], "sse"), framed=True)
    assert end.state == "incomplete"


@pytest.mark.parametrize("event", [{"type": "content"}, {"type": "message", "error": "E"}, {"a": 1}, {}])
def test_what_is_no_failure(event: dict[str, Any]) -> None:
    assert parse_failure(RawResponse.from_dict(event)) is None


@pytest.mark.parametrize(
    "error",
    [
        errors.RateLimitError("slow", status=429, retry_after_seconds=2.0),
        errors.AuthenticationError("no", status=401),
        errors.PaymentError("no credit", status=402),
        errors.ModelNotFoundError("none", status=404),
        errors.ContentRefusedError("policy", status=400),
        errors.UnavailableError("busy", status=529),
        errors.BackendRequestError("bad", status=422),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_survives_the_wire(error: errors.RefusedError) -> None:
    event = render_failure(error)
    assert RawResponse.from_dict(event.get_dict()) == event
    back = parse_failure(event)
    assert type(back) is type(error)
    assert back is not None
    assert (back.status, back.retryable, back.retry_after_seconds) == (
        error.status,
        error.retryable,
        error.retry_after_seconds,
    )


@pytest.mark.parametrize(
    ("error", "cls", "code", "status"),
    [
        (errors.MissingKeyError("P", "P_KEY"), AuthEvent, "MissingAuthError", 401),
        (errors.UnknownModelError("m"), ErrorEvent, "ModelNotFoundError", 404),
        (errors.UnknownProviderError("p"), ErrorEvent, "ProviderNotFoundError", 404),
        (errors.TotalTimeout(3), ErrorEvent, "TimeoutError", 504),
        (errors.InvalidMediaError("empty"), ErrorEvent, "InvalidMediaError", 422),
        (errors.IncompleteStream("cut"), ErrorEvent, "IncompleteStream", 502),
    ],
)
def test_our_errors_get_the_names_old_clients_know(error: Exception, cls: type, code: str, status: int) -> None:
    event: Any = render_failure(error)
    assert isinstance(event, cls)
    assert (event["auth" if cls is AuthEvent else "error"], event["status"]) == (code, status)
    assert event["message"].startswith(f"{code}: ")


def test_the_text_of_a_foreign_error_is_not_passed_on() -> None:
    event = render_failure(ValueError(f"key {KEY} refused"))
    assert KEY not in str(event.get_dict())
    assert event["error"] == "ValueError"
