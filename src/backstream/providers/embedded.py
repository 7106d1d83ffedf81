"""The hook that starts the embedded backend: the one place below the server that reaches up to it."""

from __future__ import annotations

import importlib

__all__ = ["embedded_url"]


async def embedded_url() -> str:
    """Return the URL of this loop's embedded backend, started if it does not run yet.

    It listens on a free loopback port, and stops when the loop's asynchronous generators are shut down
    (``asyncio.run`` and ``asyncio.Runner`` do that).
    """
    starter = importlib.import_module("backstream.server.embedded")
    url: str = await starter.start_embedded()
    return url
