"""Every error this package raises, sorted by whose fault it is, then by where it happened.

The tree::

    BackstreamError
    ├── CallerError                  the call was wrong; nothing has been sent
    │   ├── ConfigurationError       a setting, URL, certificate or key file that cannot work
    │   ├── MissingKeyError          a key is needed; names the variable to set
    │   ├── UnknownModelError        no such model; names the nearest ones
    │   ├── UnknownProviderError     no such provider; names the nearest ones
    │   ├── InvalidRequestError      messages or parameters of the wrong shape
    │   ├── InvalidMediaError        media that cannot be read, typed or sent
    │   └── UnsupportedFeatureError  the back-end, or this installation, cannot do that
    ├── ProviderError                the back-end, or the way to it
    │   ├── ConnectError             name look-up, refused, unreachable
    │   │   ├── TLSError             certificate or handshake; never retried
    │   │   └── ProxyError           the proxy refused or failed
    │   ├── DisconnectedError        the connection broke before a whole answer head arrived
    │   ├── DeadlineError            a clock ran out (also a built-in TimeoutError)
    │   │   ├── ConnectTimeout       ├── HeadersTimeout   ├── FirstContentTimeout
    │   │   └── BetweenContentTimeout    ├── TotalTimeout     └── IdleTimeout
    │   ├── RefusedError             the back-end answered with an error: status and kind
    │   │   ├── BackendRequestError  it calls the request wrong (400, 413, 422, …)
    │   │   ├── AuthenticationError  ├── PaymentError         ├── RateLimitError
    │   │   ├── ModelNotFoundError   ├── ContentRefusedError  └── UnavailableError
    │   ├── ProtocolError            the back-end broke the protocol
    │   │   ├── FramingError         HTTP or event framing
    │   │   ├── TooLargeError        a line, event, head or body over its cap
    │   │   ├── DecodeError          bytes that are not the JSON or text they should be
    │   │   ├── ContentTypeError     not an event stream
    │   │   └── RedirectError        a redirect that must not be followed
    │   └── IncompleteStream         the answer was cut off; what arrived is on the error
    ├── BatchError                   a batch job
    └── MisuseError                  an object used against its contract

Each class builds its own text from data, in one line, and holds no secret: no request body, no key, no URL with
user information. The body of a refusal is the attribute ``body``, never part of the text. This module knows nothing
of I/O.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

__all__ = [
    "AuthenticationError",
    "BackendRequestError",
    "BackstreamError",
    "BatchError",
    "BetweenContentTimeout",
    "CallerError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ContentRefusedError",
    "ContentTypeError",
    "DeadlineError",
    "DecodeError",
    "DisconnectedError",
    "FirstContentTimeout",
    "FramingError",
    "HeadersTimeout",
    "IdleTimeout",
    "IncompleteStream",
    "InvalidMediaError",
    "InvalidRequestError",
    "MissingKeyError",
    "MisuseError",
    "ModelNotFoundError",
    "PaymentError",
    "ProtocolError",
    "ProviderError",
    "ProxyError",
    "RateLimitError",
    "RedirectError",
    "RefusedError",
    "TLSError",
    "TooLargeError",
    "TotalTimeout",
    "UnavailableError",
    "UnknownModelError",
    "UnknownProviderError",
    "UnsupportedFeatureError",
]

Phase = Literal["connect", "send", "headers", "body"]
"""Where in the life of one request a :class:`ProviderError` happened."""


class BackstreamError(Exception):
    """Any error of this package.

    Attributes:
        retryable: Whether the same call may succeed if made again.
        status_hint: The HTTP status a server should answer with when this error reaches it.
        attempts: Where several routes were tried: the name of each, with the class name of its error, or ``silence``.
    """

    retryable: bool = False
    attempts: Sequence[tuple[str, str]] = ()
    status_hint: ClassVar[int] = 500


def _one_line(text: str, limit: int = 300) -> str:
    """Fold white space and cut, so that a foreign text cannot add lines to a log."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: 16 * limit]).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


# --- the caller's -----------------------------------------------------------------------------------------------------


class CallerError(BackstreamError, ValueError):
    """The call was wrong. Nothing has been sent.

    Args:
        problem: What was wrong.
        remedy: What to do about it; appended to the text.
    """

    status_hint = 400

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class ConfigurationError(CallerError):
    """A setting, URL, certificate or key file that cannot work."""


class MissingKeyError(CallerError):
    """An API key is needed and none was given.

    Args:
        provider: Whose key is missing.
        variable: The environment variable to set.
    """

    status_hint = 401

    def __init__(self, provider: str, variable: str) -> None:
        super().__init__(f"{provider} needs an API key", f"set {variable} or pass api_key=")
        self.provider = provider
        self.variable = variable


def _nearest(name: str, known: Iterable[str]) -> Sequence[str]:
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


class UnknownModelError(CallerError):
    """No such model.

    Args:
        model: The name asked for.
        known: The names there are; the nearest three are named in the text.
    """

    status_hint = 404

    def __init__(self, model: str, known: Iterable[str] = ()) -> None:
        self.model = model
        self.nearest = _nearest(model, known)
        remedy = "did you mean " + ", ".join(self.nearest) + "?" if self.nearest else "list the models there are"
        super().__init__(f"unknown model {_one_line(model, 80)!r}", remedy)


class UnknownProviderError(CallerError):
    """No such provider.

    Args:
        provider: The name asked for.
        known: The names there are; the nearest three are named in the text.
    """

    status_hint = 404

    def __init__(self, provider: str, known: Iterable[str] = ()) -> None:
        self.provider = provider
        self.nearest = _nearest(provider, known)
        remedy = "did you mean " + ", ".join(self.nearest) + "?" if self.nearest else "list the providers there are"
        super().__init__(f"unknown provider {_one_line(provider, 80)!r}", remedy)


class InvalidRequestError(CallerError):
    """Messages, parameters or options of the wrong shape."""

    status_hint = 422


class InvalidMediaError(CallerError):
    """Media that cannot be read, typed or sent.

    Args:
        problem: What was wrong with the item; never its content.
        remedy: What to do about it.
        index: The item's position in the media list, where it has one.
    """

    status_hint = 422

    def __init__(self, problem: str, remedy: str = "", *, index: int | None = None) -> None:
        super().__init__(problem, remedy)
        self.index = index

    def __str__(self) -> str:
        where = f"media[{self.index}]: " if self.index is not None else ""
        return where + super().__str__()


class UnsupportedFeatureError(CallerError):
    """The back-end, or this installation, cannot do what was asked."""

    status_hint = 501


# --- the back-end's ---------------------------------------------------------------------------------------------------


class ProviderError(BackstreamError):
    """The back-end, or the way to it, failed.

    Args:
        problem: What happened.
        phase: Where in the life of the request.
        request_sent: Whether a byte of the request may have reached the back-end.

    Attributes:
        received: Chunks that had arrived before the error, in order (also delivered before it was raised).
        usage: What the answer had used by then, as the back-end told it; ``None`` where it did not.
        left: The state it left the answer in: ``incomplete`` or ``failed``; ``complete`` where the answer came whole,
            but is not what was asked for; ``""`` where there was none.
    """

    status_hint = 502

    def __init__(self, problem: str, *, phase: Phase = "body", request_sent: bool = True) -> None:
        self.problem = _one_line(problem)
        super().__init__(self.problem)
        self.phase: Phase = phase
        self.request_sent = request_sent
        self.received: Sequence[Any] = ()
        self.usage: Any = None
        self.left: Literal["", "complete", "incomplete", "failed", "cancelled"] = ""

    def __str__(self) -> str:
        return self.problem


class ConnectError(ProviderError):
    """No connection could be made: name look-up, refused, unreachable."""

    retryable = True

    def __init__(self, problem: str, *, phase: Phase = "connect", request_sent: bool = False) -> None:
        super().__init__(problem, phase=phase, request_sent=request_sent)


class TLSError(ConnectError):
    """The TLS handshake or the certificate check failed. Never retried, never downgraded."""

    retryable = False


class ProxyError(ConnectError):
    """The proxy refused or failed."""


class DisconnectedError(ProviderError):
    """The connection broke before a whole answer head had arrived."""

    retryable = True

    def __init__(self, problem: str, *, phase: Phase = "headers", request_sent: bool = True) -> None:
        super().__init__(problem, phase=phase, request_sent=request_sent)


class DeadlineError(ProviderError, TimeoutError):
    """A clock of :class:`backstream.Deadlines` ran out.

    Args:
        seconds: How long that clock was allowed to run.
        phase: Where in the life of the request.
        request_sent: Whether a byte of the request may have reached the back-end.
    """

    clock: ClassVar[str] = ""
    waited_for: ClassVar[str] = ""
    status_hint = 504

    def __init__(self, seconds: float, *, phase: Phase = "body", request_sent: bool = True) -> None:
        super().__init__(
            f"{self.waited_for} within {seconds:g} s (deadline {self.clock!r})", phase=phase, request_sent=request_sent
        )
        self.seconds = seconds


class ConnectTimeout(DeadlineError):
    """No connection within ``connect`` seconds."""

    clock, waited_for, retryable = "connect", "no connection", True


class HeadersTimeout(DeadlineError):
    """No whole answer head within ``headers`` seconds of the request being sent."""

    clock, waited_for = "headers", "no answer headers"


class FirstContentTimeout(DeadlineError):
    """No content within ``first_content`` seconds; keep-alives do not count."""

    clock, waited_for = "first_content", "no first content"


class BetweenContentTimeout(DeadlineError):
    """No further content within ``between_content`` seconds; keep-alives do not count."""

    clock, waited_for = "between_content", "no further content"


class TotalTimeout(DeadlineError):
    """The call was not over within ``total`` seconds."""

    clock, waited_for = "total", "no end of the answer"


class IdleTimeout(DeadlineError):
    """Not one byte within ``idle`` seconds."""

    clock, waited_for = "idle", "no byte"


class RefusedError(ProviderError):
    """The back-end answered with an error.

    Args:
        message: The back-end's own words; folded to one line and cut at 300 characters.
        status: HTTP status, where the error came with one.
        kind: The back-end's code or class name for it; folded to one line and cut at 80 characters.
        retry_after_seconds: How long it asked us to wait, where it said so.
        body: The refusal's body, at most 64 KiB of it; never part of the text.
        phase: ``headers`` for a status, ``body`` for an event inside the stream.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        retry_after_seconds: float | None = None,
        body: bytes = b"",
        phase: Phase = "body",
    ) -> None:
        super().__init__(message, phase=phase)
        self.status = status
        self.kind = _one_line(kind, 80) if kind else None
        self.retry_after_seconds = retry_after_seconds
        self.body = body

    def __str__(self) -> str:
        known = " ".join(str(part) for part in (self.status, self.kind) if part)
        return f"{self.problem} ({known})" if known and known not in self.problem else self.problem


class BackendRequestError(RefusedError):
    """The back-end calls the request wrong (400, 404 of a route, 405, 413, 422, …)."""

    status_hint = 400


class AuthenticationError(RefusedError):
    """The key is missing, wrong, or may not do this (401, 403)."""

    status_hint = 401


class PaymentError(RefusedError):
    """The account has no credit (402)."""

    status_hint = 402


class RateLimitError(RefusedError):
    """Too many requests or tokens (429)."""

    retryable = True
    status_hint = 429


class ModelNotFoundError(RefusedError):
    """The back-end has no such model."""

    status_hint = 404


class ContentRefusedError(RefusedError):
    """A content policy refused the request or the answer."""

    status_hint = 400


class UnavailableError(RefusedError):
    """The back-end is overloaded, failing or down (408, 409, 425, 5xx, 529)."""

    retryable = True
    status_hint = 503


class ProtocolError(ProviderError):
    """The back-end broke the protocol."""


class FramingError(ProtocolError):
    """Bytes that are no valid HTTP message or event framing."""


class TooLargeError(ProtocolError):
    """Something is over its cap.

    Args:
        what: What was too large (``"line"``, ``"event"``, ``"head"``, …).
        limit_bytes: The cap.
        setting: The name of the setting that raises the cap, where there is one.
        phase: Where in the life of the request.
        unit: What the cap counts, where that is not bytes.
    """

    def __init__(
        self, what: str, limit_bytes: int, *, setting: str = "", phase: Phase = "body", unit: str = "bytes"
    ) -> None:
        raise_it = f"; raise {setting} to allow it" if setting else ""
        super().__init__(f"{what} larger than the limit of {limit_bytes} {unit}{raise_it}", phase=phase)
        self.what = what
        self.limit_bytes = limit_bytes
        self.setting = setting


class DecodeError(ProtocolError):
    """Bytes that are not the JSON or text they should be.

    Args:
        problem: What was wrong; never the bytes themselves.
        index: The position of the frame in its stream, counted from 0.
    """

    def __init__(self, problem: str, *, index: int | None = None, phase: Phase = "body") -> None:
        super().__init__(problem if index is None else f"event {index}: {problem}", phase=phase)
        self.index = index


class ContentTypeError(ProtocolError):
    """The answer is not of a type that can hold events.

    Args:
        content_type: What the answer called itself.
        snippet: At most 200 characters of it, without markup.
    """

    def __init__(self, content_type: str, snippet: str = "") -> None:
        said = f": {_one_line(snippet, 200)}" if snippet else ""
        super().__init__(
            f"answer is {_one_line(content_type, 80) or 'untyped'}, not an event stream{said}", phase="headers"
        )
        self.content_type = content_type


class RedirectError(ProtocolError):
    """A redirect that must not be followed: another origin, a changed method, a loop, no target."""

    def __init__(self, problem: str, *, status: int) -> None:
        super().__init__(problem, phase="headers")
        self.status = status


class IncompleteStream(ProviderError):
    """The answer was cut off; it must not be taken for whole.

    Args:
        problem: How the end was seen.
        text: The content text that had arrived.

    Attributes:
        received: The chunks that had arrived.
    """

    def __init__(self, problem: str, *, text: str = "") -> None:
        super().__init__(problem, phase="body")
        self.text = text


class BatchError(BackstreamError):
    """A batch job could not be read, stored or continued."""


class MisuseError(BackstreamError, RuntimeError):
    """An object was used against its contract."""
