"""Whether there is telemetry. What it needs is loaded only where it is asked for."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from backstream.server.settings import TelemetryChoice

if TYPE_CHECKING:
    from backstream.server.telemetry import Telemetry

__all__ = ["choose_telemetry", "make_telemetry"]

_LOGGER: Final = logging.getLogger("backstream.server")
_WANTED: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_METRICS_EXPORTER",
    "OTEL_TRACES_EXPORTER",
)


def choose_telemetry(environment: Mapping[str, str]) -> TelemetryChoice:
    """Return ``sdk`` where the environment asks for telemetry, or the SDK is loaded already; else ``off``.

    Where the extra ``otel`` is not installed, it is ``off`` with a warning.

    Args:
        environment: The environment variables.
    """
    wanted = any(environment.get(name) for name in _WANTED) or "opentelemetry.sdk" in sys.modules
    if not wanted or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off"
    if not _is_installed():
        _LOGGER.warning("OTEL_… is set, but OpenTelemetry is missing: pip install 'backstream[otel]'")
        return "off"
    return "sdk"


def _is_installed() -> bool:
    """The API alone comes with other packages."""
    try:
        return importlib.util.find_spec("opentelemetry.sdk") is not None
    except ModuleNotFoundError:
        return False


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
