"""What a caller can do after an answer that failed or was cut off: one line by the class of its error. A table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from backstream import errors
from backstream.errors import BackstreamError, CallerError, DeadlineError, RefusedError

__all__ = ["ADVICE", "advice_for"]

ADVICE: Final[Mapping[type[BackstreamError], str]] = {
    errors.BackstreamError: "see the error",
    errors.ProviderError: "ask again, or ask another model",
    errors.ConnectError: "check that the back-end runs, and its address",
    errors.TLSError: "check the back-end's certificate",
    errors.ProxyError: "check the proxy",
    errors.DeadlineError: "ask again, or give the clock more seconds",
    errors.BackendRequestError: "change the request",
    errors.AuthenticationError: "check the key",
    errors.PaymentError: "check the account's credit",
    errors.RateLimitError: "wait, or ask another model",
    errors.ModelNotFoundError: "list the models there are",
    errors.ContentRefusedError: "change the request",
    errors.ProtocolError: "ask another model; tell whoever runs the back-end",
    errors.TooLargeError: "ask for less, or raise the limit",
    errors.IncompleteStream: "what came is on the error: show it as cut, or ask again",
}
"""By class; the most exact one counts."""


def advice_for(error: BackstreamError) -> str:
    """Return what can be done about an error, in one line."""
    if isinstance(error, CallerError) and error.remedy:
        return error.remedy
    if isinstance(error, RefusedError) and error.retryable and error.retry_after_seconds is not None:
        return f"ask again after {max(math.ceil(error.retry_after_seconds), 1)} s"
    if isinstance(error, DeadlineError) and error.clock:
        return f"ask again, or give {error.clock!r} more than {error.seconds:g} s"
    return next(ADVICE[cls] for cls in type(error).__mro__ if cls in ADVICE)
