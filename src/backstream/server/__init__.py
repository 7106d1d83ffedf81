"""The gateway: an ASGI application, and the server that runs it."""

from __future__ import annotations

from backstream.server.app import Gateway, create_app
from backstream.server.bodies import BodyLimits
from backstream.server.settings import Settings

__all__ = ["BodyLimits", "Gateway", "Settings", "create_app"]
