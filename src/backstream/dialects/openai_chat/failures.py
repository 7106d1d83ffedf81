"""Refusals in the form of OpenAI's API, both ways: their class by code and status, never by text.

Source: https://platform.openai.com/docs/guides/error-codes; https://openrouter.ai/docs/api-reference/errors;
https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter; https://console.groq.com/docs/errors;
https://docs.together.ai/docs/error-codes; vLLM's ``ErrorResponse``, https://docs.vllm.ai/en/latest/; llama.cpp's type
for a context that is too long, https://github.com/ggml-org/llama.cpp/pull/15780.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream import errors
from backstream.dialects.refusals import refusal, status_of
from backstream.errors import BackstreamError, DecodeError, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json
from backstream.wire.status import class_for

__all__ = ["failure_in", "parse_error", "render_error", "render_failure"]

_CODES: Final[Mapping[str, type[RefusedError]]] = {
    "invalid_api_key": errors.AuthenticationError,
    "account_deactivated": errors.AuthenticationError,
    "permission_denied": errors.AuthenticationError,
    "insufficient_quota": errors.PaymentError,
    "billing_hard_limit_reached": errors.PaymentError,
    "billing_not_active": errors.PaymentError,
    "insufficient_balance": errors.PaymentError,
    "rate_limit_exceeded": errors.RateLimitError,
    "tokens_exceeded": errors.RateLimitError,
    "model_not_found": errors.ModelNotFoundError,
    "model_not_available": errors.ModelNotFoundError,
    "model_decommissioned": errors.ModelNotFoundError,
    "invalid_model": errors.ModelNotFoundError,
    "DeploymentNotFound": errors.ModelNotFoundError,
    "content_filter": errors.ContentRefusedError,
    "content_policy_violation": errors.ContentRefusedError,
    "ResponsibleAIPolicyViolation": errors.ContentRefusedError,
    "context_length_exceeded": errors.BackendRequestError,
    "exceed_context_size_error": errors.BackendRequestError,
    "string_above_max_length": errors.BackendRequestError,
    "unknown_url": errors.BackendRequestError,
    "invalid_prompt": errors.BackendRequestError,
    "server_error": errors.UnavailableError,
    "internal_server_error": errors.UnavailableError,
    "service_unavailable": errors.UnavailableError,
    "overloaded": errors.UnavailableError,
    "overloaded_error": errors.UnavailableError,
    "engine_overloaded": errors.UnavailableError,
    "engine_overloaded_error": errors.UnavailableError,
}
"""Codes that say more than the status."""

# Types say less than the status; inside a stream, where there is none, they have to do.
_IN_STREAM: Final[Mapping[str, type[RefusedError]]] = {
    **_CODES,
    "authentication_error": errors.AuthenticationError,
    "permission_error": errors.AuthenticationError,
    "rate_limit_error": errors.RateLimitError,
    "not_found_error": errors.ModelNotFoundError,
    "NotFoundError": errors.ModelNotFoundError,
    "invalid_request_error": errors.BackendRequestError,
    "BadRequestError": errors.BackendRequestError,
    "api_error": errors.UnavailableError,
    "InternalServerError": errors.UnavailableError,
    "timeout": errors.UnavailableError,
}

_WORDS: Final[tuple[tuple[type[BackstreamError], str, str | None], ...]] = (  # class → type, code
    (errors.AuthenticationError, "authentication_error", "invalid_api_key"),
    (errors.MissingKeyError, "authentication_error", "invalid_api_key"),
    (errors.PaymentError, "insufficient_quota", "insufficient_quota"),
    (errors.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
    (errors.ModelNotFoundError, "invalid_request_error", "model_not_found"),
    (errors.UnknownModelError, "invalid_request_error", "model_not_found"),
    (errors.UnknownProviderError, "invalid_request_error", "model_not_found"),
    (errors.ContentRefusedError, "invalid_request_error", "content_policy_violation"),
    (errors.UnavailableError, "server_error", "server_error"),
    (errors.BackendRequestError, "invalid_request_error", None),
    (errors.DeadlineError, "server_error", "timeout"),
    (errors.UnsupportedFeatureError, "invalid_request_error", "unsupported"),
    (errors.CallerError, "invalid_request_error", None),
)


def parse_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """See :meth:`backstream.dialects.base.Dialect.parse_error`."""
    try:
        answer = decode_json(body)
    except DecodeError:
        answer = None
    if isinstance(answer, list) and answer:  # as Google's endpoint sends it
        answer = answer[0]
    if not isinstance(answer, Mapping):
        return refusal(status, headers, body, _CODES)
    found = answer.get("error")
    inner = found if isinstance(found, Mapping) else answer
    words = _codes_of(inner, number_first=status is None)
    known = _CODES
    if status is None:
        known = {**_status_class(words), **_IN_STREAM}
    elif status == 404 and not any(word in _CODES for word in words) and (found or answer.get("object") == "error"):
        known = dict.fromkeys((*words, "not_found"), errors.ModelNotFoundError)
        words.append("not_found")
    message = inner.get("message")
    said = message if isinstance(message, str) else None
    return refusal(status, headers, body, known, message=said, kinds=tuple(words))


def _codes_of(error: Mapping[str, Any], *, number_first: bool) -> list[str]:
    """List the words for what an error is, the most telling first; a number says more only where there is no status."""
    deeper, more, code = error.get("innererror"), error.get("metadata"), error.get("code")
    flagged = isinstance(more, Mapping) and "flagged_input" in more  # OpenRouter's 403 for moderation
    words = [deeper.get("code") if isinstance(deeper, Mapping) else None, code, error.get("type")]  # Azure's is first
    words += ["content_filter"] if flagged else []
    texts = [word[:80] for word in words if isinstance(word, str) and word]
    number = [str(code)] if isinstance(code, int) and 100 <= code <= 999 else []
    return number + texts if number_first else texts + number


def _status_class(words: list[str]) -> dict[str, type[RefusedError]]:
    """Inside a stream, the code may be the number that would have been the status."""
    numbers = [word for word in words if word.isascii() and word.isdigit() and len(word) == 3 and word >= "400"]
    return {word: class_for(int(word)) for word in numbers}


def failure_in(event: Mapping[str, Any]) -> bool:
    """Tell whether an event reports an error; some put one beside what they had to say before."""
    if event.get("error"):
        return True
    return event.get("object") == "error" or ("message" in event and "choices" not in event and "code" in event)


def _words_for(error: BackstreamError) -> tuple[str, str | None]:
    kind, code = next(((kind, code) for cls, kind, code in _WORDS if isinstance(error, cls)), ("server_error", None))
    said = error.kind if isinstance(error, RefusedError) else None
    if said is not None and _CODES.get(said) is type(error):
        code = said
    return kind, code


def render_failure(error: BackstreamError) -> dict[str, Any]:
    """Render an error as the object that stands for it, in a body or in a stream."""
    kind, code = _words_for(error)
    message = error.problem if isinstance(error, ProviderError) else str(error)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def render_error(error: BackstreamError) -> tuple[int, bytes]:
    """See :meth:`backstream.dialects.base.Dialect.render_error`."""
    return status_of(error), encode_json(render_failure(error))
