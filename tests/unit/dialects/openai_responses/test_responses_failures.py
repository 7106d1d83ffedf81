"""Refusals, lists of models and counts, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import errors
from backstream.errors import BackstreamError, DecodeError, RefusedError
from backstream.models import ModelInfo
from backstream.testing import check_dialect
from support_openai_responses import DIALECT, NAME, problems

REFUSED = [
    errors.BackendRequestError,
    errors.AuthenticationError,
    errors.PaymentError,
    errors.RateLimitError,
    errors.ModelNotFoundError,
    errors.ContentRefusedError,
    errors.UnavailableError,
]


@pytest.mark.capability(NAME, "errors", "server")
@pytest.mark.parametrize("cls", REFUSED)
def test_a_refusal_keeps_its_class(cls: type[RefusedError]) -> None:
    for error in (cls("words"), cls("words", status=cls.status_hint)):
        status, body = DIALECT.render_error(error)
        assert status == cls.status_hint
        assert problems("ErrorResponse", json.loads(body)) == []
        again = DIALECT.parse_error(status, {}, body)
        assert (type(again), again.problem) == (cls, "words")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.UnknownModelError("x"), 404, "model_not_found"),
        (errors.UnknownProviderError("x"), 404, "model_not_found"),
        (errors.MissingKeyError("x", "X_KEY"), 401, "invalid_api_key"),
        (errors.AuthenticationError("no", status=403, kind="permission_denied"), 403, "permission_denied"),
        (errors.InvalidRequestError("bad", "do better"), 400, "invalid_request"),
        (errors.UnsupportedFeatureError("no"), 400, "unsupported"),
        (errors.BackendRequestError("no", status=404, kind="unknown_url"), 404, "unknown_url"),
        (errors.ConnectTimeout(3.0), 504, "server_error"),
        (errors.RefusedError("no", status=418), 418, "server_error"),
        (BackstreamError("odd"), 500, "server_error"),
    ],
)
def test_other_errors_are_told_too(error: BackstreamError, status: int, code: str) -> None:
    told, body = DIALECT.render_error(error)
    assert (told, json.loads(body)["error"]["code"]) == (status, code)
    assert json.loads(body)["error"]["message"]


def test_the_body_of_a_refusal_is_never_shown() -> None:
    _, body = DIALECT.render_error(errors.UnavailableError("down", body=b"secret"))
    assert b"secret" not in body


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("status", "error", "cls"),
    [
        (401, {"code": "invalid_api_key", "type": "invalid_request_error"}, errors.AuthenticationError),
        (401, {"code": None, "type": "invalid_request_error"}, errors.AuthenticationError),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, errors.PaymentError),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, errors.RateLimitError),
        (429, {"code": "slow_down", "type": "tokens"}, errors.UnavailableError),
        (400, {"code": "model_not_found", "type": "invalid_request_error"}, errors.ModelNotFoundError),
        (404, {"code": "model_not_found", "type": "invalid_request_error"}, errors.ModelNotFoundError),
        (404, {"code": None, "type": "invalid_request_error"}, errors.BackendRequestError),
        (400, {"code": "invalid_prompt", "type": "invalid_request_error"}, errors.ContentRefusedError),
        (400, {"code": "context_length_exceeded", "type": "invalid_request_error"}, errors.BackendRequestError),
        (400, {"code": 7, "type": ["x"]}, errors.BackendRequestError),
        (503, {"code": None, "type": "server_error"}, errors.UnavailableError),
        (None, {"code": "image_too_large"}, errors.BackendRequestError),
        (None, {"code": "brand_new"}, errors.RefusedError),
    ],
)
def test_refusals_of_the_vendor(status: int | None, error: dict[str, Any], cls: type[RefusedError]) -> None:
    body = json.dumps({"error": {"message": "words", "param": None, **error}}).encode()
    told = DIALECT.parse_error(status, {}, body)
    assert type(told) is cls
    assert told.problem == "words"


def test_refusals_that_are_no_json_of_the_vendor() -> None:
    page = DIALECT.parse_error(502, {"content-type": "text/html"}, b"<h1>Bad gateway</h1>")
    assert (type(page), page.problem) == (errors.UnavailableError, "Bad gateway")
    assert DIALECT.parse_error(500, {}, b"[5]").problem == "the back-end refused the request with status 500"
    waits = DIALECT.parse_error(429, {"retry-after": "7"}, b'{"error":"slow"}')
    assert isinstance(waits, errors.RateLimitError)
    assert (waits.problem, waits.retry_after_seconds) == ("slow", 7.0)


@pytest.mark.capability(NAME, "models", "provider")
@pytest.mark.capability(NAME, "models", "server")
def test_lists_of_models() -> None:
    body = DIALECT.render_models([ModelInfo(id="m", created=5, owned_by="me"), ModelInfo(id="n", provider="p")])
    assert problems("ListModelsResponse", json.loads(body)) == []
    page = DIALECT.parse_models(body)
    assert [(model.id, model.created, model.owned_by) for model in page.models] == [("m", 5, "me"), ("p/n", None, "p")]
    assert page.next_query is None


@pytest.mark.capability(NAME, "token-count", "server")
def test_counts_of_tokens() -> None:
    body = DIALECT.render_count(11)
    assert problems("TokenCountsResource", json.loads(body)) == []
    assert DIALECT.parse_token_count(body) == 11
    for odd in (b"x", b"[]", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":true}'):
        with pytest.raises(DecodeError):
            DIALECT.parse_token_count(odd)


def test_the_contract_of_dialects() -> None:
    assert DIALECT.name == NAME
    check_dialect(DIALECT)
