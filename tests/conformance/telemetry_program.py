"""Runs where OpenTelemetry's SDK is: asks a gateway some questions and prints what an exporter got, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from backstream import BackendApi
from backstream.chunks import Content, Finish, Start, Usage
from backstream.errors import IncompleteStream, RateLimitError
from backstream.server import Settings, create_app
from support_server import provider_of, running

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CHAT = {"messages": [{"role": "user", "content": "a secret prompt"}], "stream": True}


def told_of(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.get_span_context(), span.parent
    return {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "trace": f"{context.trace_id:032x}",
        "span": f"{context.span_id:016x}",
        "parent": f"{parent.span_id:016x}" if parent else None,
        "nanoseconds": (span.end_time or 0) - (span.start_time or 0),
        "attributes": dict(span.attributes or {}),
    }


def points_of(reader: InMemoryMetricReader) -> Iterable[dict[str, Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    told = {"name": metric.name, "unit": metric.unit, "attributes": dict(point.attributes or {})}
                    yield {**told, "count": point.count, "sum": point.sum, "bounds": list(point.explicit_bounds)}


async def good(*args: Any, **kwargs: Any) -> Any:
    trace.get_tracer("provider").start_span("inside").end()
    yield Start(model="good-2")
    yield Content(content="Hi")
    yield Usage(usage={"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}})
    yield Usage(usage={"completion_tokens": 4})
    yield Finish(finish={"reason": "stop"})


async def cut(*args: Any, **kwargs: Any) -> Any:
    yield Content(content="Hi")
    raise IncompleteStream("cut")


async def busy(*args: Any, **kwargs: Any) -> Any:
    raise RateLimitError("slowly", status=429)
    yield


async def main() -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    passed_on: list[Any] = []
    upstream = create_app([provider_of(good, models=["far"])], Settings(keys_file=None))
    upstream.observers.append(lambda record: passed_on.append(dict(record.trace.ask()) if record.trace else None))
    pages: list[bytes] = []
    async with running(app=upstream) as behind:
        providers = {
            "First": provider_of(good, models=["good"]),
            "Second": provider_of(cut, models=["cut"]),
            "Third": provider_of(busy, models=["busy"]),
            "Behind": type("Behind", (BackendApi,), {"url": behind.url, "models": ["far"]}),
        }
        async with running(providers, telemetry="api") as server:
            headers = {"traceparent": PARENT, "tracestate": "a=1"}
            for model in ("good", "cut", "busy", "far"):
                await server.ask("POST", "/v1/chat/completions", {**CHAT, "model": model}, headers=headers)
            await server.ask("GET", "/a%20secret%20path?with=more")
            for accept in ("text/plain", "application/openmetrics-text"):
                pages.append((await server.ask("GET", "/metrics", headers={"Accept": accept})).body)
    families = [
        {family.name: family.type for family in parse(page.decode())}
        for parse, page in zip((parse_plain, parse_openmetrics), pages, strict=True)
    ]
    spans = [told_of(span) for span in exporter.get_finished_spans()]
    json.dump(
        {"spans": spans, "points": list(points_of(reader)), "passed_on": passed_on, "pages": families}, sys.stdout
    )


asyncio.run(main())
