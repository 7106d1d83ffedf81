"""Where a back-end is, taken out of the errors that clients are told; the log has it. Knows no dialect."""

from __future__ import annotations

import logging
from typing import Final

from backstream.errors import ConnectError, ProviderError, ProxyError, RedirectError, RefusedError, TLSError

__all__ = ["hide_place"]

_LOGGER: Final = logging.getLogger("backstream.server")


def hide_place(error: BaseException) -> None:
    """Take the back-end's host and port, and the words of pages, out of an error's text, if they may be in it.

    What a back-end says in JSON is told: it is meant for whoever asked.

    Args:
        error: Any; its class, and whether it can be retried, stay as they are.
    """
    told = _told(error)
    if isinstance(error, ProviderError) and told is not None and error.problem != told:
        if not isinstance(error, RefusedError):  # its words may quote the request
            _LOGGER.warning("a back-end cannot be asked: %s", str(error))  # now: the text is changed below
        error.problem = told
        error.args = (told,)


def _told(error: BaseException) -> str | None:
    """Return what a client is told instead; ``None`` where the error's own text may be."""
    match error:
        case ProxyError():
            return None
        case TLSError():
            return "no secure connection to the back-end"
        case ConnectError():
            return "no connection to the back-end"
        case RedirectError():
            return "the back-end answered with a redirect"
        case RefusedError() if error.body.strip()[:1] not in (b"", b"{", b"["):  # a page of a proxy, or its insides
            return f"the back-end refused the request with status {error.status}"
    return None
