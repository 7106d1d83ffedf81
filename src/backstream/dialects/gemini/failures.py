"""Refusals, both ways: Google's status words, with reasons and waits in the details.

Source: https://google.aip.dev/193; https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from backstream import errors
from backstream.dialects.refusals import refusal
from backstream.errors import BackstreamError, DecodeError, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["error_members", "parse_error", "render_error"]

_CODES: Final[Mapping[str, type[RefusedError]]] = {
    # reasons, in the details
    "API_KEY_INVALID": errors.AuthenticationError,
    "BILLING_DISABLED": errors.PaymentError,
    "PROHIBITED_CONTENT": errors.ContentRefusedError,
    # status words
    "INVALID_ARGUMENT": errors.BackendRequestError,
    "FAILED_PRECONDITION": errors.BackendRequestError,
    "OUT_OF_RANGE": errors.BackendRequestError,
    "UNIMPLEMENTED": errors.BackendRequestError,
    "UNAUTHENTICATED": errors.AuthenticationError,
    "PERMISSION_DENIED": errors.AuthenticationError,
    "NOT_FOUND": errors.ModelNotFoundError,
    "RESOURCE_EXHAUSTED": errors.RateLimitError,
    "ABORTED": errors.UnavailableError,
    "UNAVAILABLE": errors.UnavailableError,
    "INTERNAL": errors.UnavailableError,
    "DEADLINE_EXCEEDED": errors.UnavailableError,
    "UNKNOWN": errors.RefusedError,
    # numbers, where the word is no canonical one; inside a stream there is no status
    "400": errors.BackendRequestError,
    "401": errors.AuthenticationError,
    "403": errors.AuthenticationError,
    "404": errors.ModelNotFoundError,
    "429": errors.RateLimitError,
    "500": errors.UnavailableError,
    "503": errors.UnavailableError,
    "504": errors.UnavailableError,
}
_SECONDS: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)s")
_LONGEST_WAIT_SECONDS: Final = 86400.0

_OWN: Final = frozenset({405, 408, 413, 415})
"""Statuses of ours that Google has no words for."""

_WORDS: Final[tuple[tuple[type[BackstreamError], int, str, str], ...]] = (
    # ours, status, status word, reason
    (errors.PaymentError, 403, "PERMISSION_DENIED", "BILLING_DISABLED"),
    (errors.ContentRefusedError, 400, "INVALID_ARGUMENT", "PROHIBITED_CONTENT"),
    (errors.AuthenticationError, 401, "UNAUTHENTICATED", ""),
    (errors.MissingKeyError, 401, "UNAUTHENTICATED", ""),
    (errors.RateLimitError, 429, "RESOURCE_EXHAUSTED", ""),
    (errors.ModelNotFoundError, 404, "NOT_FOUND", ""),
    (errors.UnknownModelError, 404, "NOT_FOUND", ""),
    (errors.UnknownProviderError, 404, "NOT_FOUND", ""),
    (errors.UnavailableError, 503, "UNAVAILABLE", ""),
    (errors.ConnectError, 503, "UNAVAILABLE", ""),
    (errors.IncompleteStream, 503, "UNAVAILABLE", ""),
    (errors.DeadlineError, 504, "DEADLINE_EXCEEDED", ""),
    (errors.UnsupportedFeatureError, 400, "INVALID_ARGUMENT", ""),  # its SDKs ask again after a 501
    (errors.BackendRequestError, 400, "INVALID_ARGUMENT", ""),
    (errors.CallerError, 400, "INVALID_ARGUMENT", ""),
    (errors.RefusedError, 500, "UNKNOWN", ""),
)


def parse_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """See :class:`backstream.dialects.base.Dialect`."""
    error = _error_of(body)
    details = [detail for detail in _items(error.get("details")) if isinstance(detail, Mapping)]
    reasons = [reason for detail in details if isinstance(reason := detail.get("reason"), str) and reason]
    word, number, said = error.get("status"), error.get("code"), error.get("message")
    words = [word] if isinstance(word, str) and word else []
    numbers = [str(number)] if type(number) is int else []
    return refusal(
        status,
        headers,
        body,
        _CODES,
        message=said if isinstance(said, str) and said else None,
        kinds=(*(reason for reason in reasons if reason in _CODES), *words, *numbers),
        retry_after_seconds=next(_waits(details), None),
    )


def _error_of(body: bytes) -> Mapping[str, Any]:
    """Find the error object; an answer in the framing of an array has it in the first element."""
    try:
        found = decode_json(body)
    except DecodeError:
        return {}
    if isinstance(found, list):
        found = found[0] if found else {}
    error = found.get("error") if isinstance(found, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _waits(details: list[Mapping[str, Any]]) -> Iterator[float]:
    """The waits that details of type ``RetryInfo`` ask for; one over a day is taken for a day."""
    for detail in details:
        delay = detail.get("retryDelay")
        found = _SECONDS.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            yield min(float(found[1]), _LONGEST_WAIT_SECONDS)


def error_members(error: BackstreamError | None) -> dict[str, Any]:
    """Return the error object of an error; of none, of an answer that was given up."""
    if error is None:
        return {"code": 499, "message": "the answer was given up", "status": "CANCELLED"}
    status, word, reason = next((found[1:] for found in _WORDS if isinstance(error, found[0])), (500, "INTERNAL", ""))
    if isinstance(error, errors.AuthenticationError) and error.status == 403:
        status, word = 403, "PERMISSION_DENIED"
    elif isinstance(error, RefusedError) and error.status in _OWN:
        status = error.status
    members: dict[str, Any] = {
        "code": status,
        "message": error.problem if isinstance(error, ProviderError) else str(error),
        "status": word,
    }
    details: list[dict[str, Any]] = []
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": reason, "domain": "googleapis.com"})
    if isinstance(error, RefusedError) and error.retry_after_seconds is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{round(error.retry_after_seconds, 3):g}s"})
    return members | ({"details": details} if details else {})


def render_error(error: BackstreamError) -> tuple[int, bytes]:
    """See :class:`backstream.dialects.base.Dialect`."""
    members = error_members(error)
    return members["code"], encode_json({"error": members})
