"""Failures on the backend-api wire: ``error`` and ``auth`` events to our error tree and back.

The class name in ``error`` or ``auth`` is the protocol's error code; the text is for people and is never tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream import errors
from backstream.chunks import AuthEvent, ErrorEvent, RawResponse
from backstream.dialects.refusals import refusal
from backstream.errors import BackstreamError, DecodeError, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["parse_failure", "parse_refusal", "render_failure", "render_refusal"]

_BY_CODE: Mapping[str, type[RefusedError]] = {
    # the names g4f's servers use
    "MissingAuthError": errors.AuthenticationError,
    "MissingRequirementsError": errors.UnavailableError,
    "RateLimitError": errors.RateLimitError,
    "PaymentRequiredError": errors.PaymentError,
    "ModelNotFoundError": errors.ModelNotFoundError,
    "ModelNotSupportedError": errors.ModelNotFoundError,
    "ModelNotAllowedError": errors.ModelNotFoundError,
    "ProviderNotFoundError": errors.BackendRequestError,
    "ProviderNotWorkingError": errors.UnavailableError,
    "StreamNotSupportedError": errors.BackendRequestError,
    "TimeoutError": errors.UnavailableError,
    "CloudflareError": errors.UnavailableError,
    # our own, in ``kind``
    **{
        cls.__name__: cls
        for cls in (
            errors.BackendRequestError,
            errors.AuthenticationError,
            errors.PaymentError,
            errors.RateLimitError,
            errors.ContentRefusedError,
            errors.UnavailableError,
        )
    },
}

_LONGEST_WAIT_SECONDS = 86400

_CODES: tuple[tuple[type[BackstreamError], str], ...] = (
    (errors.AuthenticationError, "MissingAuthError"),
    (errors.MissingKeyError, "MissingAuthError"),
    (errors.RateLimitError, "RateLimitError"),
    (errors.PaymentError, "PaymentRequiredError"),
    (errors.ModelNotFoundError, "ModelNotFoundError"),
    (errors.UnknownModelError, "ModelNotFoundError"),
    (errors.UnknownProviderError, "ProviderNotFoundError"),
    (errors.DeadlineError, "TimeoutError"),
)


def parse_failure(event: RawResponse) -> ProviderError | None:
    """Turn a failure event into the error to raise.

    Args:
        event: Any event; one without a type but with an ``error`` member counts too, as a server may put the JSON body
            of a refusal where a stream should be.

    Returns:
        The error; ``None`` where the event is no failure.
    """
    members: Mapping[str, Any] = event.get_dict()
    if event.type not in ("error", "auth") and (event.type or "error" not in members):
        return None
    code = members.get("auth") if event.type == "auth" else members.get("error")
    if isinstance(code, Mapping):  # {"error": {"message": …}}
        members, code = code, code.get("code") or code.get("type")
    name = code if isinstance(code, str) and code.isidentifier() else None
    said = members.get("message") or (code if isinstance(code, str) else None) or "the back-end reported an error"
    message = str(said).removeprefix(f"{name}: ")
    kind = members.get("kind")
    if kind == errors.IncompleteStream.__name__:  # a relay tells that its own back-end's answer was cut off
        return errors.IncompleteStream(message)
    cls = _BY_CODE.get(str(kind)) or _BY_CODE.get(str(name))
    if cls is None:
        cls = errors.AuthenticationError if event.type == "auth" else RefusedError
    error = cls(
        message,
        status=_whole(members.get("status"), 100, 599),
        kind=kind if isinstance(kind, str) else name,
        retry_after_seconds=_seconds(members.get("retry_after_seconds")),
    )
    if isinstance(members.get("retryable"), bool):
        error.retryable = members["retryable"]
    return error


def _whole(value: object, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def _seconds(value: object) -> float | None:
    """A wait that is negative, or longer than a day, is taken for rubbish."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _LONGEST_WAIT_SECONDS else None  # type: ignore[operator,arg-type]


def render_failure(error: BaseException) -> RawResponse:
    """Turn an error into the event that tells it.

    Args:
        error: Any exception. The text of one outside our tree is not shown, since nobody vouches for what it holds:
            only its class name is.
    """
    if not isinstance(error, BackstreamError):
        name = type(error).__name__
        return ErrorEvent(error=name, message=f"{name}: the provider failed", kind="ProviderError", status=502)
    code = next((code for cls, code in _CODES if isinstance(error, cls)), type(error).__name__)
    message = f"{code}: {error.problem if isinstance(error, ProviderError) else error}"
    kind = type(error).__name__
    status = error.status if isinstance(error, RefusedError) and error.status else error.status_hint
    if code == "MissingAuthError":
        return AuthEvent(auth=code, message=message, kind=kind, status=status, retryable=error.retryable)
    return ErrorEvent(
        error=code,
        message=message,
        kind=kind,
        status=status,
        retryable=error.retryable if isinstance(error, ProviderError) else False,
        retry_after_seconds=error.retry_after_seconds if isinstance(error, RefusedError) else None,
    )


def parse_refusal(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Read the answer that refuses a request, or the event that ends one.

    Args:
        status: The HTTP status; ``None`` for an event.
        headers: Header fields, readable by lower case.
        body: The body, or the event.
    """
    if status is None:
        failure = _parse_event(body)
        if failure is not None:
            return failure
    return refusal(status, headers, body, _BY_CODE)


def _parse_event(body: bytes) -> ProviderError | None:
    try:
        members = decode_json(body)
    except DecodeError:
        return None
    return parse_failure(RawResponse.from_dict(members)) if isinstance(members, dict) else None


def render_refusal(error: BackstreamError) -> tuple[int, bytes]:
    """Render an error as the answer that refuses a request: its status and body.

    Args:
        error: Its text is shown, its ``body`` never.
    """
    event = render_failure(error).get_dict()
    message = error.problem if isinstance(error, ProviderError) else str(error)
    code = event["kind"] if event["kind"] in _BY_CODE else event.get("error") or event.get("auth")
    return event["status"], encode_json({"error": {"message": message, "code": code}})
