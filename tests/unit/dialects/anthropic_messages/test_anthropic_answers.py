"""Whole answers, errors, lists of models and numbers of tokens of the Messages API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstream import errors
from backstream.chunks import Content, Finish, PartEnd, Start, ToolCallDelta, Usage
from backstream.dialects.anthropic_messages import AnthropicMessages
from backstream.errors import BackstreamError, DecodeError, UnavailableError
from backstream.models import ModelInfo
from backstream.reply import End
from backstream.wire.http import Headers

NAME = "anthropic_messages"
DIALECT = AnthropicMessages()
RECORDED = Path(__file__).parents[3] / "data" / "recorded" / "aimock" / NAME


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
def test_a_recorded_answer() -> None:
    assert DIALECT.parse_reply((RECORDED / "tool-after-text.whole.body").read_bytes()) == [
        Start(id="aimock-1", model="claude-sonnet-4-5"),
        Content(content="I look it up.", part=0),
        PartEnd(part=0, kind="text"),
        ToolCallDelta(id="call_1", name="get_weather", part=1),
        ToolCallDelta(arguments='{"city":"Paris","days":3}', part=1),
        PartEnd(part=1, kind="tool_call"),
        Finish(finish={"reason": "tool_calls", "raw": "tool_use"}),
        Usage(
            usage={"prompt_tokens": 0, "completion_tokens": 0},
            model="claude-sonnet-4-5",
            raw={NAME: {"input_tokens": 0, "output_tokens": 0}},
        ),
        End("complete", ("stop_reason",)),
    ]


def test_an_answer_of_little() -> None:
    start, end = DIALECT.parse_reply(b'{"content": [5]}')
    assert start == Start()
    assert isinstance(end, End)
    assert (end.state, str(end.error)) == ("incomplete", "the answer has no stop reason")
    (end,) = DIALECT.parse_reply(b'{"error": {"type": "overloaded_error", "message": "later"}}')
    assert isinstance(end, End)
    assert isinstance(end.error, UnavailableError)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"x", "not JSON"),
        (b"[]", "JSON list"),
        (b"{}", "no list of content"),
        (b'{"content": {}}', "no list of content"),
    ],
)
def test_what_is_no_answer(body: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        DIALECT.parse_reply(body)


def test_an_error_in_the_place_of_an_answer() -> None:
    (last,) = DIALECT.parse_reply(b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}')
    assert isinstance(last, End)
    assert last.state == "failed"
    assert isinstance(last.error, UnavailableError)


# --- errors


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("status", "kind", "cls"),
    [
        (400, "invalid_request_error", errors.BackendRequestError),
        (401, "authentication_error", errors.AuthenticationError),
        (402, "billing_error", errors.PaymentError),
        (403, "permission_error", errors.AuthenticationError),
        (404, "not_found_error", errors.ModelNotFoundError),
        (409, "conflict_error", errors.UnavailableError),
        (413, "request_too_large", errors.BackendRequestError),
        (429, "rate_limit_error", errors.RateLimitError),
        (500, "api_error", errors.UnavailableError),
        (504, "timeout_error", errors.UnavailableError),
        (529, "overloaded_error", errors.UnavailableError),
        (418, "something_new", errors.BackendRequestError),
    ],
)
def test_refusals(status: int, kind: str, cls: type[BackstreamError]) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "words"}, "request_id": "r"}).encode()
    headers = Headers([("Retry-After", "3")])
    error = DIALECT.parse_error(status, headers, body)
    assert type(error) is cls
    assert isinstance(error, errors.RefusedError)
    assert (error.status, error.kind, error.problem, error.retry_after_seconds) == (status, kind, "words", 3.0)
    if kind != "something_new":  # inside a stream there is no status
        assert type(DIALECT.parse_error(None, {}, body)) is cls


@pytest.mark.parametrize("path", sorted(RECORDED.glob("error-[0-9]*.body")), ids=lambda path: path.stem)
def test_recorded_refusals(path: Path) -> None:
    status = int(path.stem.removeprefix("error-"))
    error = DIALECT.parse_error(status, {}, path.read_bytes())
    assert isinstance(error, errors.RefusedError)
    assert error.status == status
    assert error.problem == f"Refused with {status}"


@pytest.mark.parametrize(
    ("body", "cls"),
    [
        (b"<html>busy</html>", errors.UnavailableError),
        (b'{"error": "words"}', errors.UnavailableError),
        (b"[1]", errors.UnavailableError),
        (b'{"error": {"type": 5, "message": 6}}', errors.UnavailableError),
        (b'{"error": {"type": "rate_limit_error", "code": "429"}}', errors.RateLimitError),
    ],
)
def test_refusals_of_another_shape_go_by_their_status(body: bytes, cls: type[BackstreamError]) -> None:
    assert type(DIALECT.parse_error(503, {}, body)) is cls


@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.BackendRequestError("m", status=422), 400, "invalid_request_error"),
        (errors.BackendRequestError("m", kind="request_too_large"), 413, "request_too_large"),
        (errors.AuthenticationError("m", status=401), 401, "authentication_error"),
        (errors.AuthenticationError("m", kind="permission_error"), 403, "permission_error"),
        (errors.PaymentError("m"), 402, "billing_error"),
        (errors.RateLimitError("m", kind="insufficient_quota"), 429, "rate_limit_error"),
        (errors.ModelNotFoundError("m"), 404, "not_found_error"),
        (errors.ContentRefusedError("m"), 400, "invalid_request_error"),
        (errors.UnavailableError("m", status=503), 529, "overloaded_error"),
        (errors.UnavailableError("m", kind="api_error"), 500, "api_error"),
    ],
)
def test_refusals_survive_the_way_there_and_back(error: errors.RefusedError, status: int, kind: str) -> None:
    rendered_status, body = DIALECT.render_error(error)
    members = json.loads(body)
    assert (rendered_status, members["type"], members["error"]["type"]) == (status, "error", kind)
    assert members["error"]["message"] == "m"
    assert type(DIALECT.parse_error(rendered_status, {}, body)) is type(error)
    assert type(DIALECT.parse_error(None, {}, body)) is type(error)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.MissingKeyError("x", "X_KEY"), 401, "authentication_error"),
        (errors.UnknownModelError("x"), 404, "not_found_error"),
        (errors.UnknownProviderError("x"), 404, "not_found_error"),
        (errors.InvalidRequestError("x"), 400, "invalid_request_error"),
        (errors.UnsupportedFeatureError("x"), 400, "invalid_request_error"),
        (errors.ConnectTimeout(1.0), 504, "timeout_error"),
        (errors.ConnectError("x"), 502, "api_error"),
        (errors.RefusedError("x"), 502, "api_error"),
        (errors.MisuseError("x"), 500, "api_error"),
    ],
)
def test_our_own_errors(error: BackstreamError, status: int, kind: str) -> None:
    rendered_status, body = DIALECT.render_error(error)
    found = json.loads(body)["error"]
    assert found["type"] == kind
    assert found["message"] in str(error)
    if type(error) is not errors.RefusedError:
        assert rendered_status == status


# --- models and counts


MODEL: dict[str, Any] = {
    "type": "model",
    "id": "claude-opus-5",
    "display_name": "Claude Opus 5",
    "created_at": "2026-05-22T00:00:00Z",
    "max_input_tokens": 1000000,
    "max_tokens": 128000,
    "capabilities": {
        "image_input": {"supported": True},
        "pdf_input": {"supported": False},
        "thinking": {"supported": True, "types": {}},
    },
}


@pytest.mark.capability(NAME, "models", "provider")
def test_a_list_of_models() -> None:
    page = DIALECT.parse_models(
        json.dumps({"data": [MODEL, 5, {"id": 6}], "has_more": True, "last_id": "claude-opus-5"}).encode()
    )
    assert page.next_query == {"after_id": "claude-opus-5"}
    assert page.models == (
        ModelInfo(
            id="claude-opus-5",
            label="Claude Opus 5",
            context_tokens=1000000,
            max_output_tokens=128000,
            input_modalities=("text", "image"),
            output_modalities=("text",),
            reasoning=True,
            created=1779408000.0,
            raw=MODEL,
        ),
    )


@pytest.mark.parametrize(
    ("members", "created"),
    [
        ({"created_at": "1970-01-01T00:00:00Z"}, None),
        ({"created_at": "2026-05-22T00:00:00"}, 1779408000.0),
        ({"created_at": "soon"}, None),
        ({"created_at": None}, None),
        ({"created": 1779408000, "owned_by": "x"}, 1779408000.0),
        ({"created": 0}, None),
        ({"max_tokens": 0, "capabilities": {"thinking": {"supported": "yes"}}}, None),
    ],
)
def test_models_of_other_servers(members: dict[str, Any], created: float | None) -> None:
    page = DIALECT.parse_models(json.dumps({"data": [{"id": "m", **members}]}).encode())
    assert page.next_query is None
    (model,) = page.models
    assert model.created == created
    assert (model.max_output_tokens, model.reasoning) == (None, None)
    assert model.owned_by == members.get("owned_by")


def test_what_is_no_list_of_models() -> None:
    for body in (b"x", b"[]", b"{}", b'{"data": 5}'):
        with pytest.raises(DecodeError):
            DIALECT.parse_models(body)
    assert DIALECT.parse_models(b'{"data": [], "has_more": true, "last_id": null}').next_query is None


@pytest.mark.capability(NAME, "models", "server")
def test_rendered_models() -> None:
    models = [
        ModelInfo(id="a", provider="p", label="A", created=1779408000.5, context_tokens=5, max_output_tokens=6),
        ModelInfo(id="b"),
        ModelInfo(id="c", created=1e300),
    ]
    members = json.loads(DIALECT.render_models(models))
    assert (members["has_more"], members["first_id"], members["last_id"]) == (False, "p/a", "c")
    assert members["data"][0] == {
        "type": "model",
        "id": "p/a",
        "display_name": "A",
        "created_at": "2026-05-22T00:00:00Z",
        "max_input_tokens": 5,
        "max_tokens": 6,
    }
    assert [entry["created_at"] for entry in members["data"][1:]] == ["1970-01-01T00:00:00Z"] * 2
    assert [model.id for model in DIALECT.parse_models(DIALECT.render_models(models)).models] == ["p/a", "b", "c"]
    assert json.loads(DIALECT.render_models([])) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.capability(NAME, "token-count", "provider")
@pytest.mark.capability(NAME, "token-count", "server")
def test_numbers_of_tokens() -> None:
    assert DIALECT.render_count(14) == b'{"input_tokens":14}'
    assert DIALECT.parse_token_count(DIALECT.render_count(14)) == 14
    for body in (b"{}", b'{"input_tokens": true}', b"[]"):
        with pytest.raises(DecodeError):
            DIALECT.parse_token_count(body)
