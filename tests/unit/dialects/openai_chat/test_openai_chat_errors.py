"""Refusals and lists of models, as services send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import errors
from backstream.dialects.openai_chat import OpenAIChat
from backstream.models import ModelInfo

NAME = "openai_chat"

REFUSALS: list[tuple[str, int, Any, type[errors.ProviderError], str | None]] = [
    (
        "OpenAI, key",
        401,
        {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}},
        errors.AuthenticationError,
        "invalid_api_key",
    ),
    (
        "OpenAI, no key",
        401,
        {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}},
        errors.AuthenticationError,
        "invalid_request_error",
    ),
    (
        "OpenAI, quota",
        429,
        {"error": {"message": "no", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}},
        errors.PaymentError,
        "insufficient_quota",
    ),
    (
        "OpenAI, rate",
        429,
        {"error": {"message": "no", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}},
        errors.RateLimitError,
        "rate_limit_exceeded",
    ),
    (
        "OpenAI, model",
        404,
        {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "model_not_found"}},
        errors.ModelNotFoundError,
        "model_not_found",
    ),
    (
        "OpenAI, model behind a 403",
        403,
        {"error": {"message": "no", "type": "invalid_request_error", "code": "model_not_found"}},
        errors.ModelNotFoundError,
        "model_not_found",
    ),
    (
        "OpenAI, route",
        404,
        {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "unknown_url"}},
        errors.BackendRequestError,
        "unknown_url",
    ),
    (
        "OpenAI, context",
        400,
        {"error": {"message": "no", "type": "invalid_request_error", "code": "context_length_exceeded"}},
        errors.BackendRequestError,
        "context_length_exceeded",
    ),
    (
        "OpenAI, policy",
        400,
        {"error": {"message": "no", "type": "invalid_request_error", "code": "content_policy_violation"}},
        errors.ContentRefusedError,
        "content_policy_violation",
    ),
    (
        "Azure, filter",
        400,
        {
            "error": {
                "message": "no",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
            }
        },
        errors.ContentRefusedError,
        "ResponsibleAIPolicyViolation",
    ),
    (
        "Azure, deployment",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "no"}},
        errors.ModelNotFoundError,
        "DeploymentNotFound",
    ),
    ("OpenRouter, credit", 402, {"error": {"code": 402, "message": "no"}}, errors.PaymentError, "402"),
    (
        "OpenRouter, moderation",
        403,
        {"error": {"code": 403, "message": "no", "metadata": {"reasons": ["x"], "flagged_input": "y"}}},
        errors.ContentRefusedError,
        "content_filter",
    ),
    (
        "OpenRouter, key",
        403,
        {"error": {"code": 403, "message": "no", "metadata": {"x": 1}}},
        errors.AuthenticationError,
        "403",
    ),
    (
        "vLLM, model",
        404,
        {"error": {"message": "no", "type": "NotFoundError", "param": "model", "code": 404}},
        errors.ModelNotFoundError,
        "NotFoundError",
    ),
    (
        "vLLM, older",
        404,
        {"object": "error", "message": "no", "type": "NotFoundError", "param": None, "code": 404},
        errors.ModelNotFoundError,
        "NotFoundError",
    ),
    ("xAI, model", 404, {"code": "gone", "error": "no"}, errors.ModelNotFoundError, "gone"),
    ("a server without words", 404, {"error": "no"}, errors.ModelNotFoundError, "not_found"),
    ("FastAPI, route", 404, {"detail": "no"}, errors.BackendRequestError, None),
    (
        "Together",
        503,
        {"error": {"message": "no", "type": "overloaded_error"}},
        errors.UnavailableError,
        "overloaded_error",
    ),
    ("Google, in a list", 400, [{"error": {"code": 400, "message": "no"}}], errors.BackendRequestError, "400"),
    ("an empty list", 500, [], errors.UnavailableError, None),
    ("odd members", 400, {"error": {"message": 3, "code": True, "type": ["x"]}}, errors.BackendRequestError, None),
    ("no JSON", 502, "<html>no</html>", errors.UnavailableError, None),
]


@pytest.mark.capability(NAME, "errors", "provider")
@pytest.mark.parametrize(
    ("status", "body", "cls", "kind"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_refusals(status: int, body: Any, cls: type[errors.RefusedError], kind: str | None) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = OpenAIChat().parse_error(status, {"retry-after": "7"}, data)
    assert type(error) is cls
    assert isinstance(error, errors.RefusedError)
    assert (error.status, error.kind, error.retry_after_seconds, error.phase) == (status, kind, 7.0, "headers")
    assert error.body == data
    if isinstance(body, str):
        assert error.problem.startswith(("no", "the back-end refused"))
    else:
        assert error.problem in ("no", f"the back-end refused the request with status {status}")


@pytest.mark.capability(NAME, "models", "provider")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"id": "gpt-5.4", "object": "model", "created": 1686935002, "owned_by": "openai", "shutdown_date": None},
            ModelInfo(id="gpt-5.4", created=1686935002, owned_by="openai"),
        ),
        (
            {
                "id": "a/b",
                "name": "A: B",
                "context_length": 8192,
                "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
                "top_provider": {"max_completion_tokens": 4096, "context_length": 1},
                "supported_parameters": ["tools", "reasoning"],
            },
            ModelInfo(
                id="a/b",
                label="A: B",
                context_tokens=8192,
                max_output_tokens=4096,
                input_modalities=("text", "image"),
                output_modalities=("text",),
                tools=True,
                reasoning=True,
            ),
        ),
        (
            {
                "id": "mistral",
                "max_context_length": 32768,
                "capabilities": {"function_calling": True, "vision": False, "reasoning": False},
            },
            ModelInfo(id="mistral", context_tokens=32768, tools=True, reasoning=False),
        ),
        (
            {"id": "llama", "context_window": 131072, "max_completion_tokens": 32768, "owned_by": "Meta"},
            ModelInfo(id="llama", context_tokens=131072, max_output_tokens=32768, owned_by="Meta"),
        ),
        ({"id": "qwen", "max_model_len": 40960}, ModelInfo(id="qwen", context_tokens=40960)),
        (
            {"id": "t", "display_name": "T", "organization": "O", "created": 0, "input_modalities": ["text", 3]},
            ModelInfo(id="t", label="T", owned_by="O", input_modalities=("text",)),
        ),
        ({"name": "only"}, ModelInfo(id="only")),
        ({"id": "p", "supported_parameters": []}, ModelInfo(id="p", tools=False)),
    ],
)
def test_lists_of_models(entry: dict[str, Any], expected: ModelInfo) -> None:
    for answer in ({"object": "list", "data": [entry, {"id": ""}, {"id": 3}, "odd"]}, {"models": [entry]}, [entry]):
        (found,) = OpenAIChat().parse_models(json.dumps(answer).encode()).models
        assert found.raw == entry
        for name in ModelInfo.__struct_fields__:
            if name != "raw":
                assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("body", [b"{}", b"[", b"3", b'{"data": 3}'])
def test_what_is_no_list_of_models(body: bytes) -> None:
    with pytest.raises(errors.DecodeError):
        OpenAIChat().parse_models(body)
