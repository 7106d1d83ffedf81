"""OpenTelemetry's SDK as its environment variables say, for a server that is a whole program.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
import threading
from collections.abc import Mapping
from typing import Any, Final

from backstream.errors import ConfigurationError

__all__ = ["Sdk"]

_FAREWELL_SECONDS: Final = 3.0


class Sdk:
    """The SDK of one process. Made before any fork, and started after it, since it starts threads.

    Args:
        environment: The environment variables; ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` may be ``otlp``,
            the default, ``console``, ``none``, or the name of another installed exporter.

    Raises:
        ConfigurationError: The SDK or an exporter is not installed.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        try:
            self._traces = _load("trace")
            self._metrics = _load("metrics")
            self._sdk_traces = _load("sdk.trace")
            self._sdk_metrics = _load("sdk.metrics")
            self._span_export = _load("sdk.trace.export")
            self._metric_export = _load("sdk.metrics.export")
            resources = _load("sdk.resources")
        except ImportError as error:
            raise ConfigurationError(
                "OpenTelemetry is not installed", "install it with: pip install 'backstream[otel]'"
            ) from error
        is_named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        self._resource = resources.Resource.create({} if is_named else {"service.name": "backstream"})
        self._span_exporter = _exporter("traces", environment)
        self._metric_exporter = _exporter("metrics", environment)
        self._started: list[Any] | None = None

    def start(self) -> None:
        """Set the tracer and meter providers of this process, once; where somebody else has set them, do nothing."""
        if self._started is not None:
            return
        self._started = []
        if not isinstance(self._traces.get_tracer_provider(), self._traces.ProxyTracerProvider):
            return
        tracers = self._sdk_traces.TracerProvider(resource=self._resource, shutdown_on_exit=False)
        if self._span_exporter is not None:
            tracers.add_span_processor(self._span_export.BatchSpanProcessor(self._span_exporter()))
        readers = []
        if self._metric_exporter is not None:
            readers.append(self._metric_export.PeriodicExportingMetricReader(self._metric_exporter()))
        meters = self._sdk_metrics.MeterProvider(
            resource=self._resource, metric_readers=readers, shutdown_on_exit=False
        )
        self._traces.set_tracer_provider(tracers)
        self._metrics.set_meter_provider(meters)
        self._started = [tracers, meters]

    async def aclose(self) -> None:
        """Send what has not been sent, and end; gives up after some seconds where nobody takes it."""
        started, self._started = self._started or [], []
        if not started:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            for provider in started:
                provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop gave up and is closed
                loop.call_soon_threadsafe(done.set)

        # a daemon: a collector that does not answer must not hold the program's end
        threading.Thread(target=shut_down, name="backstream-telemetry", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await done.wait()


def _load(name: str) -> Any:
    # by name, since type checkers run where the extra is not
    return importlib.import_module(f"opentelemetry.{name}")


def _exporter(kind: str, environment: Mapping[str, str]) -> Any:
    """Return the class of an exporter; ``None`` for none."""
    variable = f"OTEL_{kind.upper()}_EXPORTER"
    name = environment.get(variable, "").strip() or "otlp"
    if name == "none":
        return None
    names = ("otlp_proto_http", "otlp_proto_grpc") if name == "otlp" else (name,)
    found = {point.name: point for point in importlib.metadata.entry_points(group=f"opentelemetry_{kind}_exporter")}
    for each in names:
        if each in found:
            return found[each].load()
    raise ConfigurationError(
        f"the exporter that {variable} names is not installed", "use otlp, console or none, or install it"
    )
