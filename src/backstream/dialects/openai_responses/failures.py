"""Errors of OpenAI's Responses API: bodies of refusals, ``error`` events and failed responses, to our tree and back.

Source: https://platform.openai.com/docs/guides/error-codes; OpenAI's OpenAPI description 2.3.0 (``ResponseErrorCode``,
``ResponseErrorEvent``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream import errors
from backstream.dialects.openai_responses.members import text_of
from backstream.dialects.refusals import Codes, refusal, status_of
from backstream.errors import BackstreamError, DecodeError, IncompleteStream, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["error_event", "failure", "parse_error", "render_error", "response_error"]

_CODES: Final[Codes] = {
    "invalid_api_key": errors.AuthenticationError,
    "authentication_error": errors.AuthenticationError,
    "permission_denied": errors.AuthenticationError,
    "insufficient_quota": errors.PaymentError,
    "billing_hard_limit_reached": errors.PaymentError,
    "billing_not_active": errors.PaymentError,
    "rate_limit_exceeded": errors.RateLimitError,
    "rate_limit_error": errors.RateLimitError,
    "model_not_found": errors.ModelNotFoundError,
    "content_policy_violation": errors.ContentRefusedError,
    "content_filter": errors.ContentRefusedError,
    "image_content_policy_violation": errors.ContentRefusedError,
    "moderation_blocked": errors.ContentRefusedError,
    "invalid_prompt": errors.ContentRefusedError,
    "bio_policy": errors.ContentRefusedError,
    "server_error": errors.UnavailableError,
    "internal_server_error": errors.UnavailableError,
    "vector_store_timeout": errors.UnavailableError,
    "slow_down": errors.UnavailableError,
    "server_is_overloaded": errors.UnavailableError,
    "context_length_exceeded": errors.BackendRequestError,
}
# Types, and codes that say only that the request is wrong: with a status, the status tells more.
_STREAM_CODES: Final[Codes] = {
    **_CODES,
    **dict.fromkeys(
        (
            "invalid_request_error",
            "invalid_request",
            "data_residency_mismatch",
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "invalid_image_mode",
            "image_file_too_large",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        ),
        errors.BackendRequestError,
    ),
}
_WORDS: Final[tuple[tuple[type[BackstreamError], str, str], ...]] = (  # class → type, code; the first that fits
    (errors.AuthenticationError, "invalid_request_error", "invalid_api_key"),
    (errors.MissingKeyError, "invalid_request_error", "invalid_api_key"),
    (errors.PaymentError, "insufficient_quota", "insufficient_quota"),
    (errors.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
    (errors.ModelNotFoundError, "invalid_request_error", "model_not_found"),
    (errors.UnknownModelError, "invalid_request_error", "model_not_found"),
    (errors.UnknownProviderError, "invalid_request_error", "model_not_found"),
    (errors.ContentRefusedError, "invalid_request_error", "content_policy_violation"),
    (errors.BackendRequestError, "invalid_request_error", "invalid_request"),
    (errors.UnsupportedFeatureError, "invalid_request_error", "unsupported"),
    (errors.CallerError, "invalid_request_error", "invalid_request"),
)
_KINDS: Final = frozenset({"previous_response_not_found", "unknown_url"})
_RESPONSE_CODES: Final = frozenset({"rate_limit_exceeded", "server_error"})  # of ours, those a response may have


def parse_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """See :class:`backstream.dialects.base.Dialect`."""
    try:
        decoded = decode_json(body.decode("utf-8", "replace"))
    except DecodeError:
        decoded = None
    return failure(decoded if isinstance(decoded, dict) else {}, body, status=status, headers=headers)


def failure(
    members: Mapping[str, Any], body: bytes, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> ProviderError:
    """Make the error of a body, an ``error`` event, or the ``error`` of a failed response."""
    inner = members.get("error")
    said: Mapping[str, Any] = inner if isinstance(inner, Mapping) else members
    code, kind = text_of(said, "code"), text_of(said, "type")
    if kind in ("error", "response.failed"):  # the type of the event, not of the error
        kind = None
    return refusal(
        status,
        headers if headers is not None else {},
        body,
        _CODES if status is not None else _STREAM_CODES,
        message=text_of(said, "message") or (text_of(members, "error") if status is None else None),
        kinds=(code, kind),
    )


def _words(error: BackstreamError) -> tuple[str, str, str]:
    kind, code = next(
        ((kind, code) for cls, kind, code in _WORDS if isinstance(error, cls)), ("server_error", "server_error")
    )
    if isinstance(error, RefusedError) and error.kind is not None and _CODES.get(error.kind) is type(error):
        code = error.kind  # it says more than the class
    if isinstance(error, errors.BackendRequestError) and error.kind in _KINDS:
        code = error.kind
    message = error.problem if isinstance(error, ProviderError) else str(error)
    return kind, code, message


def render_error(error: BackstreamError) -> tuple[int, bytes]:
    """See :class:`backstream.dialects.base.Dialect`."""
    kind, code, message = _words(error)
    return status_of(error), encode_json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_event(error: BackstreamError | None) -> dict[str, Any]:
    """Render the ``error`` event of a stream, less its number."""
    _, code, message = _words(error if error is not None else IncompleteStream("the answer was cut off"))
    return {"type": "error", "code": code, "message": message, "param": None}


def response_error(event: Mapping[str, Any]) -> dict[str, Any]:
    """Render the ``error`` of a failed response, whose codes are fewer, after the event that told it."""
    code = event["code"] if event["code"] in _RESPONSE_CODES else "server_error"
    return {"code": code, "message": event["message"]}
