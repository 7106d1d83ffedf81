"""What may be done about an error before the first content: a table of error classes. Data; asks and waits for nothing.

The most exact class of an error decides, so every class of :mod:`backstream.errors` has a row by inheritance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from backstream import errors
from backstream.errors import BackendRequestError, BackstreamError

__all__ = ["CAUSES", "TOO_LONG_KINDS", "Cause", "cause_of", "render_causes"]


class Cause(msgspec.Struct, frozen=True):
    """What may be done about an error that came before the first content.

    Attributes:
        again: Whether to ask the same route again.
        next: Whether another route may do better.
        fault: Whether it counts against the route: ``True``; ``False``, for the route is up and answers; ``None`` where
            it says nothing of the route.
        because: Why.
    """

    again: bool
    next: bool
    fault: bool | None
    because: str


_STOP: Final = Cause(again=False, next=False, fault=None, because="the same everywhere")

CAUSES: Final[Mapping[type[BackstreamError], Cause]] = {
    errors.BackstreamError: _STOP,
    errors.CallerError: _STOP,
    errors.MissingKeyError: Cause(False, True, None, "another route has a key of its own"),
    errors.UnknownModelError: Cause(False, True, None, "another route has models of its own"),
    errors.UnknownProviderError: Cause(False, True, None, "another route is of another provider"),
    errors.UnsupportedFeatureError: Cause(False, True, None, "another route may have words for it"),
    errors.ProviderError: Cause(False, True, True, "the route failed"),
    errors.ConnectError: Cause(True, True, True, "may pass; nothing was sent"),
    errors.TLSError: Cause(False, True, True, "a certificate does not heal, and is never passed over"),
    errors.DisconnectedError: Cause(True, True, True, "may pass; no answer had come"),
    errors.DeadlineError: Cause(False, True, True, "asking again would wait as long again"),
    errors.ConnectTimeout: Cause(True, True, True, "may pass; nothing was sent"),
    errors.TotalTimeout: Cause(False, False, None, "the caller's time is over"),
    errors.RefusedError: Cause(False, True, False, "the route refuses, and does not say why"),
    errors.BackendRequestError: Cause(False, False, False, "the request is wrong everywhere"),
    errors.AuthenticationError: Cause(False, True, False, "another route has a key of its own"),
    errors.PaymentError: Cause(False, True, False, "another route has an account of its own"),
    errors.RateLimitError: Cause(True, True, False, "may pass"),
    errors.ModelNotFoundError: Cause(False, True, False, "another route has models of its own"),
    errors.ContentRefusedError: Cause(False, False, False, "a policy is not to be gone around"),
    errors.UnavailableError: Cause(True, True, True, "may pass"),
    errors.ProtocolError: Cause(False, True, True, "the route is broken"),
    errors.TooLargeError: Cause(False, False, None, "a limit of ours"),
    errors.IncompleteStream: Cause(False, True, True, "the request was acted on, without an answer"),
}
"""What may be done, by class. An error whose ``retryable`` is false is never asked again, whatever stands here."""

TOO_LONG_KINDS: Final = frozenset({"context_length_exceeded", "exceed_context_size_error", "request_too_large"})
"""Codes that say that a request is too long for one model or route: OpenAI's, llama.cpp's, Anthropic's."""

_TOO_LONG: Final = Cause(False, True, False, "another model may take more")
_NOT_THERE: Final = Cause(False, True, False, "another route has an address of its own")


def cause_of(error: BackstreamError) -> Cause:
    """Return what may be done about an error.

    A request that is too long, by its code or by status 413, is a :class:`backstream.errors.BackendRequestError` that
    another route may take; so is one that asks for a path or method that is not there (404, 405).
    """
    if isinstance(error, BackendRequestError) and (error.status == 413 or error.kind in TOO_LONG_KINDS):
        return _TOO_LONG
    if isinstance(error, BackendRequestError) and error.status in (404, 405):
        return _NOT_THERE
    found = next(CAUSES[cls] for cls in type(error).__mro__ if cls in CAUSES)
    return msgspec.structs.replace(found, again=False) if found.again and not error.retryable else found


def render_causes() -> str:
    """Return the table as Markdown, for the documentation."""
    rows = [(f"`{cls.__name__}`", cause) for cls, cause in CAUSES.items()]
    plain = [cause for _, cause in rows].index(CAUSES[BackendRequestError])
    rows[plain + 1 : plain + 1] = [
        ("`BackendRequestError`, too long", _TOO_LONG),
        ("`BackendRequestError`, 404 or 405", _NOT_THERE),
    ]
    lines = ["| error | same route again | next route | counts against the route | because |", "|---|---|---|---|---|"]
    for name, cause in rows:
        fault = {True: "yes", False: "no: it is up", None: "says nothing"}[cause.fault]
        again, following = ("yes" if what else "no" for what in (cause.again, cause.next))
        lines.append(f"| {name} | {again} | {following} | {fault} | {cause.because} |")
    return "\n".join(lines)
