"""The backend-api dialect, both directions. Described in ``docs/protocol.md``."""

from backstream.dialects.backend_api.failures import parse_failure, render_failure
from backstream.dialects.backend_api.request import CONVERSATION_PATH, render_request
from backstream.dialects.backend_api.stream import BackendApiParser, Framing, render_block

__all__ = [
    "CONVERSATION_PATH",
    "BackendApiParser",
    "Framing",
    "parse_failure",
    "render_block",
    "render_failure",
    "render_request",
]
