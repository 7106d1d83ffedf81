"""What every dialect does with an error body: words, code and wait of it, and the class of our tree by its code."""

from __future__ import annotations

from collections.abc import Mapping

from backstream.errors import BackstreamError, CallerError, ProviderError, RefusedError
from backstream.wire.status import class_for, describe, parse_retry_after, redact

__all__ = ["Codes", "refusal", "status_of"]

Codes = Mapping[str, type[RefusedError]]
"""Of a dialect: the back-end's error code or type → our class. What is not in it goes by the status."""


def refusal(
    status: int | None,
    headers: Mapping[str, str],
    body: bytes,
    codes: Codes,
    *,
    message: str | None = None,
    kinds: tuple[str | None, ...] = (),
    retry_after_seconds: float | None = None,
) -> ProviderError:
    """Build the error for a refusal, or for an error inside a stream.

    Args:
        status: The HTTP status; ``None`` inside a stream.
        headers: Header fields, readable by lower case.
        body: The body, or the event.
        codes: See :data:`Codes`.
        message: The back-end's words; ``None`` to look for them in the body.
        kinds: The back-end's codes for it, the most telling first.
        retry_after_seconds: How long to wait, where the body said so; the header wins.
    """
    said, found = describe(headers.get("content-type", "application/json"), body)
    known = [kind for kind in (*kinds, found) if kind]
    cls = next((codes[kind] for kind in known if kind in codes), None)
    if cls is None:
        cls = class_for(status) if status is not None else RefusedError
    words = redact(message if message is not None else said)
    wait = parse_retry_after(headers, 0.0)
    error = cls(
        words or f"the back-end refused the request{f' with status {status}' if status else ''}",
        status=status,
        kind=redact(known[0]) if known else None,
        retry_after_seconds=wait if wait is not None else retry_after_seconds,
        body=body[: 64 * 1024],
        phase="body" if status is None else "headers",
    )
    if headers.get("x-should-retry", "").lower() == "false":  # OpenAI's and Anthropic's SDKs obey it too
        error.retryable = False
    return error


def status_of(error: BackstreamError) -> int:
    """Return the status of an error in the APIs of OpenAI's kind: the back-end's own, where it said one.

    What is wrong with a request is a 400: these vendors say 422 for nothing, and clients ask again after a 501.
    """
    if isinstance(error, RefusedError) and error.status:
        return error.status
    return 400 if isinstance(error, CallerError) and error.status_hint in (422, 501) else error.status_hint
