"""Whether there is telemetry: what it needs is loaded only where it is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backstream.server.settings import TelemetryChoice

if TYPE_CHECKING:
    from backstream.server.telemetry import Telemetry

__all__ = ["make_telemetry"]


def make_telemetry(choice: TelemetryChoice) -> Telemetry | None:
    """Make what the settings ask for.

    Raises:
        ConfigurationError: The extra ``otel``, or an exporter that the environment names, is not installed.
    """
    if choice == "off":
        return None
    from backstream.server.telemetry import Telemetry
    from backstream.server.telemetry_setup import Sdk

    return Telemetry(Sdk(os.environ) if choice == "sdk" else None)
