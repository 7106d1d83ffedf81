"""One small JSON document over HTTP: lists of models and the like."""

from __future__ import annotations

from typing import Any

from backstream.options import Deadlines
from backstream.transport.session import HeaderMapping, StreamSession
from backstream.transport.tls import SSLSetting

__all__ = ["FETCH_DEADLINES", "fetch_json"]

FETCH_DEADLINES = Deadlines(connect=10.0, total=60.0)
"""A list may take a server a while the first time: it asks its own back-ends."""


async def fetch_json(url: str, *, headers: HeaderMapping | None = None, ssl: SSLSetting = None) -> Any:
    """GET a JSON document.

    Args:
        url: Where it is.
        headers: Header fields of the request.
        ssl: TLS as :class:`backstream.StreamSession` takes it.

    Returns:
        The document, at most 64 MiB of it.

    Raises:
        ProviderError: It could not be had, or is no JSON.
    """
    session = StreamSession(headers={"Accept": "application/json", **(headers or {})}, ssl=ssl)
    async with session.get(url, deadlines=FETCH_DEADLINES) as response:
        response.raise_for_status()
        return await response.json()
