"""Errors of the Messages API, both ways: by status and type, never by text.

Source: https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream import errors
from backstream.dialects.refusals import Codes, refusal
from backstream.errors import BackstreamError, DecodeError, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_error", "render_error", "render_failure"]

_REFUSED: Final = "content_refused"
"""A code of ours beside a type of theirs: they have no type of error for a policy that refused."""

_CODES: Final[Codes] = {
    "invalid_request_error": errors.BackendRequestError,
    "request_too_large": errors.BackendRequestError,
    "authentication_error": errors.AuthenticationError,
    "permission_error": errors.AuthenticationError,
    "billing_error": errors.PaymentError,
    "not_found_error": errors.ModelNotFoundError,  # the one thing that messages are asked of
    "rate_limit_error": errors.RateLimitError,
    "conflict_error": errors.UnavailableError,
    "api_error": errors.UnavailableError,
    "timeout_error": errors.UnavailableError,
    "overloaded_error": errors.UnavailableError,
    _REFUSED: errors.ContentRefusedError,
}
_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPES: Final[tuple[tuple[type[BackstreamError], str], ...]] = (
    (errors.AuthenticationError, "authentication_error"),
    (errors.MissingKeyError, "authentication_error"),
    (errors.PaymentError, "billing_error"),
    (errors.RateLimitError, "rate_limit_error"),
    (errors.ModelNotFoundError, "not_found_error"),
    (errors.UnknownModelError, "not_found_error"),
    (errors.UnknownProviderError, "not_found_error"),
    (errors.ContentRefusedError, "invalid_request_error"),
    (errors.BackendRequestError, "invalid_request_error"),
    (errors.CallerError, "invalid_request_error"),
    (errors.UnavailableError, "overloaded_error"),
    (errors.DeadlineError, "timeout_error"),
)


def parse_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Read a refusal; see :meth:`backstream.dialects.base.Dialect.parse_error`."""
    try:
        members = decode_json(body)
    except DecodeError:
        members = None
    error = members.get("error") if isinstance(members, Mapping) else None
    if not isinstance(error, Mapping):
        return refusal(status, headers, body, _CODES)
    kinds = tuple(_word(error.get(name)) for name in ("code", "type"))
    known = sorted(kinds, key=lambda kind: kind not in _CODES)  # a relay's own code hides no type
    message = error.get("message")
    return refusal(
        status, headers, body, _CODES, message=message if isinstance(message, str) else None, kinds=tuple(known)
    )


def _word(value: object) -> str | None:
    return value[:80] if isinstance(value, str) and value else None


def render_error(error: BackstreamError) -> tuple[int, bytes]:
    """Render a refusal; see :meth:`backstream.dialects.base.Dialect.render_error`."""
    members = render_failure(error)
    kind = members["error"]["type"]
    known = isinstance(error, RefusedError | errors.CallerError | errors.DeadlineError)
    return _STATUSES[kind] if known else error.status_hint, encode_json(members)


def render_failure(error: BackstreamError | None) -> dict[str, Any]:
    """Return the members of an error, as a body or as an event; ``None`` for an answer that was broken off."""
    if error is None:
        return {"type": "error", "error": {"type": "api_error", "message": "the answer was broken off"}}
    kind = next((kind for cls, kind in _TYPES if isinstance(error, cls)), "api_error")
    given = error.kind if isinstance(error, RefusedError) else None
    if given is not None and given in _STATUSES and isinstance(error, _CODES[given]):
        kind = given
    message = error.problem if isinstance(error, ProviderError) else str(error)
    members: dict[str, Any] = {"type": kind, "message": message}
    if isinstance(error, errors.ContentRefusedError):
        members["code"] = _REFUSED
    return {"type": "error", "error": members}
