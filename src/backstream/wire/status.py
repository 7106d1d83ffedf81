"""What a refusing status means: which error, in which words, and when to come back. Pure; knows no back-end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    PaymentError,
    RateLimitError,
    RefusedError,
    UnavailableError,
)
from backstream.wire.http import media_type

__all__ = ["MAX_RETRY_AFTER_SECONDS", "class_for", "describe", "parse_retry_after", "redact", "refusal_for"]

MAX_RETRY_AFTER_SECONDS = 86400.0
"""A longer wait than a day is taken for rubbish."""

_UNAVAILABLE = frozenset({408, 409, 425, 529})
_CLASSES: Mapping[int, type[RefusedError]] = {
    401: AuthenticationError,
    402: PaymentError,
    403: AuthenticationError,
    429: RateLimitError,
}
_INVISIBLE = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*(?:>|\Z)")
_DATA_URI = re.compile(r"data:[\w/+.-]*(?:;[\w=.-]+)*,\S*", re.IGNORECASE)
_LONG_RUN = re.compile(r"[A-Za-z0-9_\-.+/=*]{24,}")
_LETTER = re.compile("[A-Za-z]")
_DIGIT = re.compile("[0-9]")


def class_for(status: int) -> type[RefusedError]:
    """Return the error class for a status."""
    known = _CLASSES.get(status)
    if known is not None:
        return known
    if status in _UNAVAILABLE or status >= 500:
        return UnavailableError
    return BackendRequestError


def refusal_for(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float = 0.0, secrets: Iterable[str] = ()
) -> RefusedError:
    """Build the error for an answer that refuses.

    Args:
        status: Its status.
        headers: Its header fields, readable by any case or by lower case.
        body: As much of its body as is at hand; 64 KiB of it are kept on the error.
        now: Seconds since the epoch, for a Retry-After that is a date.
        secrets: Texts to be blotted out should the back-end repeat them.
    """
    said, kind = describe(headers.get("content-type", ""), body)
    words = redact(said, secrets)
    return class_for(status)(
        words or f"the back-end refused the request with status {status}",
        status=status,
        kind=redact(kind, secrets) if kind else None,
        retry_after_seconds=parse_retry_after(headers, now),
        body=body[: 64 * 1024],
        phase="headers",
    )


def describe(content_type: str, body: bytes) -> tuple[str, str | None]:
    """Find the words of an error body, and its code.

    Returns:
        JSON: its ``error.message``, ``error``, ``message`` or ``detail``, and ``error.code`` or ``error.type``; a page:
        its text without markup; else the text. ``""`` where there are no words, ``None`` where there is no code.
    """
    text = body[:8192].decode("utf-8", "replace").strip()
    if text[:1] in {"{", "["}:
        try:
            return _describe_json(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "", None
    if media_type(content_type) == "text/html" or text[:1] == "<":
        text = _MARKUP.sub(" ", _INVISIBLE.sub(" ", text))
    return " ".join(text.split())[:200], None


def _describe_json(value: Any) -> tuple[str, str | None]:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return "", None
    error = value.get("error")
    inner = error if isinstance(error, dict) else value
    words = (inner.get("message"), error, value.get("message"), value.get("detail"))
    codes = (inner.get("code"), inner.get("type"), inner.get("status"))
    said = next((word for word in words if isinstance(word, str) and word), "")
    return said, next((code[:80] for code in codes if isinstance(code, str) and code), None)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Blot out given secrets, data URIs, and whatever looks like a key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    return _LONG_RUN.sub(_blot_key, _DATA_URI.sub("data:…", text))


def _blot_key(found: re.Match[str]) -> str:
    """Keys, tokens and digests mix letters and digits; long words and numbers stay."""
    run = found[0]
    return "…" if _LETTER.search(run) and _DIGIT.search(run) else run


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds to wait by ``retry-after-ms`` or ``Retry-After``.

    Args:
        headers: The header fields.
        now: Seconds since the epoch.

    Returns:
        0 for a date that is past, a day for more than a day; ``None`` where neither is there, or where it is negative
        or no number.

    Source: RFC 9110 §10.2.3; ``retry-after-ms`` is sent by OpenAI's and Azure's servers.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _clamp(milliseconds / 1000)
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return _clamp(seconds)
    try:
        return _clamp(max(parsedate_to_datetime(value).timestamp() - now, 0.0))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _number(text: str) -> float | None:
    text = text.strip()
    # ASCII digits with one point at most: float() would also read "nan", "1e9" and "1_0".
    return float(text) if re.fullmatch(r"-?[0-9]{1,300}(\.[0-9]{1,30})?", text) else None


def _clamp(seconds: float) -> float | None:
    return min(seconds, MAX_RETRY_AFTER_SECONDS) if seconds >= 0 else None
