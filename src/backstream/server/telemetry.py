"""Spans and metrics of OpenTelemetry, made of a request's record. Loads the extra ``otel`` only when it is used.

One server span for each request, and below it one client span for the question to the provider. Content is never told.

Source: OpenTelemetry semantic conventions for HTTP 1.41 and for generative AI (status: development), of 2026.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, Final

from backstream._version import __version__
from backstream.errors import ConfigurationError
from backstream.server.asgi import Request
from backstream.server.records import RequestRecord
from backstream.server.telemetry_setup import Sdk
from backstream.server.trace import TraceContext

__all__ = [
    "OPERATIONS",
    "Telemetry",
    "call_attributes",
    "call_name",
    "metric_attributes",
    "server_attributes",
    "server_name",
    "start_attributes",
]

_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})

_PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "azure-responses": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "openai-responses": "openai",
    "xai": "x_ai",
    "xai-responses": "x_ai",
}
"""Where the conventions have a name of their own for a provider."""

OPERATIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("embeddings", "ollama-embed", "ollama-embeddings"), "embeddings"),
    **dict.fromkeys(("gemini-embed", "gemini-batch-embed", "gemini-v1-embed", "gemini-v1-batch-embed"), "embeddings"),
    **dict.fromkeys(("images", "image-edits"), "image_generation"),
    "speech": "text_to_speech",
    "transcriptions": "speech_to_text",
}
"""Routes that are no conversation; where the conventions have no word, it is ours."""

Attributes = dict[str, Any]

_DURATIONS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRSTS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKENS: Final = tuple(4**power for power in range(14))
_HTTP: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def start_attributes(request: Request) -> Attributes:
    """Return what is known of a request when it begins."""
    method = request.method if request.method in _METHODS else "_OTHER"
    return {"http.request.method": method, "url.scheme": request.scheme}


def server_name(record: RequestRecord) -> str:
    """Return the name of the server span; the path asked for is never in it."""
    method = record.method if record.method in _METHODS else "HTTP"
    return f"{method} {record.pattern}" if record.pattern else method


def server_attributes(record: RequestRecord) -> Attributes:
    """Return what is known of a request when it is over; ``url.path`` holds the route's pattern, never the path."""
    failed = (record.status or 0) >= 500 or record.end in ("failed", "incomplete")
    return _known(
        {
            "http.route": record.pattern or None,
            "url.path": record.pattern or None,
            "http.response.status_code": record.status,
            "error.type": (record.error or str(record.status)) if failed else None,
            "backstream.request.id": record.id,
            "backstream.key": record.key,
            "backstream.end": record.end,
        }
    )


def call_name(record: RequestRecord) -> str:
    """Return the name of the client span: the operation and the model."""
    model = _model(record)
    return f"{_operation(record)} {model}" if model else _operation(record)


def metric_attributes(record: RequestRecord) -> Attributes:
    """Return what the values of one request are told by: few words, each of few values."""
    provider = record.provider or "unknown"
    return _known(
        {
            "gen_ai.operation.name": _operation(record),
            "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
            "gen_ai.request.model": _model(record),
        }
    )


def call_attributes(record: RequestRecord) -> Attributes:
    """Return what is known of the question to the provider when it is over."""
    usage, first = record.usage, _since_asked(record, record.first_seconds)
    return metric_attributes(record) | _known(
        {
            "gen_ai.request.stream": record.stream or None,
            "gen_ai.response.model": record.answered_by,
            "gen_ai.response.finish_reasons": None if record.finish is None else (record.finish,),
            "gen_ai.response.time_to_first_chunk": first if record.stream else None,
            "gen_ai.usage.input_tokens": usage and usage.input_tokens,
            "gen_ai.usage.output_tokens": usage and usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage and usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage and usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage and usage.reasoning_tokens,
            "error.type": record.error,
        }
    )


def _operation(record: RequestRecord) -> str:
    return OPERATIONS.get(record.route, "chat")


def _model(record: RequestRecord) -> str | None:
    return None if record.model in (None, "", "other") else record.model


def _since_asked(record: RequestRecord, seconds: float | None) -> float | None:
    if seconds is None or record.asked_seconds is None:
        return None
    return max(seconds - record.asked_seconds, 0.0)


def _known(attributes: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


class Telemetry:
    """Makes spans and metrics by the tracer and meter providers that this process has set.

    Args:
        sdk: What sets them with the first request; ``None`` where somebody else does.

    Raises:
        ConfigurationError: The extra ``otel`` is not installed.
    """

    def __init__(self, sdk: Sdk | None = None) -> None:
        self._sdk = sdk
        try:
            # by name, since type checkers run where the extra is not
            self._api: Any = importlib.import_module("opentelemetry.trace")
            self._context: Any = importlib.import_module("opentelemetry.context")
            meters: Any = importlib.import_module("opentelemetry.metrics")
        except ImportError as error:
            raise ConfigurationError(
                "OpenTelemetry is not installed", "install it with: pip install 'backstream[otel]'"
            ) from error
        self._tracer = self._api.get_tracer("backstream", __version__)
        meter = meters.get_meter("backstream", __version__)

        def seconds(name: str, told: str, bounds: tuple[float, ...]) -> Any:
            return meter.create_histogram(name, "s", told, explicit_bucket_boundaries_advisory=bounds)

        self._http = seconds("http.server.request.duration", "Duration of HTTP server requests.", _HTTP)
        self._duration = seconds("gen_ai.client.operation.duration", "GenAI operation duration.", _DURATIONS)
        self._first = seconds(
            "gen_ai.client.operation.time_to_first_chunk", "Time to receive the first chunk.", _FIRSTS
        )
        self._served = seconds("gen_ai.server.request.duration", "Generative AI server request duration.", _DURATIONS)
        self._served_first = seconds(
            "gen_ai.server.time_to_first_token", "Time to generate first token for successful responses.", _FIRSTS
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def begin(self, request: Request, record: RequestRecord, context: TraceContext | None) -> None:
        """Begin a request's span, below the client's where it sent its trace."""
        if self._sdk is not None:
            self._sdk.start()
        parent = None if context is None else self._remote(context)
        known = start_attributes(request)
        span = self._tracer.start_span(
            record.method if record.method in _METHODS else "HTTP",
            context=parent,
            kind=self._api.SpanKind.SERVER,
            attributes=known,
            start_time=record.started_ns,
        )
        record.trace = _Spans(self, record, span, known)

    def _remote(self, context: TraceContext) -> Any:
        state = self._api.TraceState.from_header([context.tracestate]) if context.tracestate else None
        flags = self._api.TraceFlags(int(context.sampled))
        place = self._api.SpanContext(
            int(context.trace_id, 16), int(context.parent_id, 16), is_remote=True, trace_flags=flags, trace_state=state
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(place), self._context.Context())

    def begin_call(self, record: RequestRecord, parent: Any) -> Any:
        """Begin the span of the question to the provider."""
        return self._tracer.start_span(
            call_name(record),
            context=self._api.set_span_in_context(parent),
            kind=self._api.SpanKind.CLIENT,
            attributes=metric_attributes(record),
        )

    def attach(self, span: Any) -> Any:
        """Make a span the current one, below which a provider's own spans come."""
        return self._context.attach(self._api.set_span_in_context(span))

    def detach(self, token: Any) -> None:
        """Undo :meth:`attach`."""
        self._context.detach(token)

    def finish(self, record: RequestRecord) -> None:
        """End a request's spans and count its values."""
        spans, seconds = record.trace, record.seconds or 0.0
        record.trace = None  # which holds the record in turn
        if isinstance(spans, _Spans):
            spans.finish(self._api.StatusCode.ERROR)
            self._note_http(record, seconds, spans.known)
            if record.asked_seconds is not None:
                self._note_call(record, seconds)

    async def aclose(self) -> None:
        """Send what has not been sent, where the SDK is ours."""
        if self._sdk is not None:
            await self._sdk.aclose()

    def _note_http(self, record: RequestRecord, seconds: float, known: Attributes) -> None:
        told = server_attributes(record)
        names = ("http.route", "http.response.status_code", "error.type")
        self._http.record(seconds, known | {name: told[name] for name in names if name in told})

    def _note_call(self, record: RequestRecord, seconds: float) -> None:
        told = metric_attributes(record)
        failed = {**told, "error.type": record.error} if record.error else told
        self._duration.record(_since_asked(record, seconds), failed)
        self._served.record(seconds, failed)
        if record.first_seconds is not None:
            if record.stream:
                self._first.record(_since_asked(record, record.first_seconds), told)
            if record.error is None:
                self._served_first.record(record.first_seconds, told)
        if record.usage is not None:
            counts = {"input": record.usage.input_tokens, "output": record.usage.output_tokens}
            for kind, count in counts.items():
                if count is not None:
                    self._tokens.record(count, {**told, "gen_ai.token.type": kind})


class _Spans:
    """The spans of one request; a :class:`backstream.server.trace.Trace`."""

    __slots__ = ("_call", "_record", "_server", "_task", "_telemetry", "_token", "known")

    def __init__(self, telemetry: Telemetry, record: RequestRecord, server: Any, known: Attributes) -> None:
        self.known = known
        self._telemetry = telemetry
        self._record = record
        self._server = server
        self._call: Any = None
        self._token: Any = None
        self._task = asyncio.current_task()

    def ask(self) -> Mapping[str, str]:
        """Begin the span of the question, once, and return the header fields that carry it on."""
        if self._call is None:
            self._call = self._telemetry.begin_call(self._record, self._server)
            if asyncio.current_task() is self._task:  # else it could not be undone at the end
                self._token = self._telemetry.attach(self._call)
        place = self._call.get_span_context()
        if not place.is_valid:
            return {}
        fields = {"traceparent": f"00-{place.trace_id:032x}-{place.span_id:016x}-{int(place.trace_flags):02x}"}
        state = place.trace_state.to_header() if place.trace_state else ""
        return fields | ({"tracestate": state} if state else {})

    def finish(self, failed: Any) -> None:
        """End them, and tell what is known now."""
        record = self._record
        ended_ns = record.started_ns + int((record.seconds or 0.0) * 1e9)
        if self._call is not None:
            if self._token is not None:
                self._telemetry.detach(self._token)
            self._end(self._call, call_name(record), call_attributes(record), failed, ended_ns)
        self._end(self._server, server_name(record), server_attributes(record), failed, ended_ns)

    def _end(self, span: Any, name: str, attributes: Attributes, failed: Any, at_ns: int) -> None:
        if span.is_recording():
            span.update_name(name)
            span.set_attributes(attributes)
            if "error.type" in attributes:
                span.set_status(failed)
        span.end(at_ns)
