"""What spans and metrics tell of a request, and when there are any. The SDK itself is tried among foreign programs."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from backstream.chunks import Usage
from backstream.errors import ConfigurationError
from backstream.server import Settings, create_app
from backstream.server.asgi import Request
from backstream.server.records import RequestRecord
from backstream.server.routes import ROUTES
from backstream.server.telemetry import (
    OPERATIONS,
    call_attributes,
    call_name,
    metric_attributes,
    server_attributes,
    server_name,
    start_attributes,
)
from backstream.server.telemetry_choice import choose_telemetry
from support_server import running, saying

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def record_of(**values: Any) -> RequestRecord:
    record = RequestRecord(values.pop("method", "POST"))
    for name, value in {"status": 200, "seconds": 2.0, **values}.items():
        setattr(record, name, value)
    return record


def request_of(method: str) -> Request:
    return Request({"type": "http", "method": method, "path": "/a-secret", "headers": [], "scheme": "https"})


def test_a_whole_answer() -> None:
    record = record_of(provider="mistral", model="m", stream=False, asked_seconds=0.5, first_seconds=1.0, finish="stop")
    record.usage = Usage(usage={"prompt_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 2}})
    assert call_name(record) == "chat m"
    assert metric_attributes(record) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "m",
    }
    assert call_attributes(record) == {
        **metric_attributes(record),
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_a_stream() -> None:
    record = record_of(provider="p", model="m", stream=True, asked_seconds=0.5, first_seconds=1.0, answered_by="m-2")
    told = call_attributes(record)
    assert (told["gen_ai.request.stream"], told["gen_ai.response.time_to_first_chunk"]) == (True, 0.5)
    assert told["gen_ai.response.model"] == "m-2"


@pytest.mark.parametrize("model", [None, "", "other"])
def test_a_model_that_is_not_known_is_not_told(model: str | None) -> None:
    record = record_of(provider=None, model=model, stream=True)
    assert call_name(record) == "chat"
    assert call_attributes(record) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "unknown",
        "gen_ai.request.stream": True,
    }


def test_other_operations_have_their_names() -> None:
    assert set(OPERATIONS) <= {route.name for route in ROUTES}
    assert call_name(record_of(route="embeddings", model="m")) == "embeddings m"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({}, None),
        ({"status": 404, "end": "refused", "error": "unknown"}, None),
        ({"status": None, "end": "cancelled"}, None),
        ({"status": 500, "end": "failed", "error": "KeyError"}, "KeyError"),
        ({"status": 503, "end": "refused"}, "503"),
        ({"end": "incomplete", "error": "IncompleteStream"}, "IncompleteStream"),
    ],
)
def test_whether_the_server_failed(values: dict[str, Any], error: str | None) -> None:
    told = server_attributes(record_of(**values))
    assert told.get("error.type") == error
    assert ("http.response.status_code" in told) == (values.get("status", 200) is not None)


@pytest.mark.parametrize("pattern", ["", "/v1/models/{*model}"])
@pytest.mark.parametrize(
    ("method", "name", "told"), [("GET", "GET", "GET"), ("BREW", "HTTP", "_OTHER"), ("get", "HTTP", "_OTHER")]
)
def test_names_are_of_few_words(method: str, name: str, told: str, pattern: str) -> None:
    record = record_of(method=method, pattern=pattern)
    assert server_name(record) == f"{name} {pattern}".strip()
    assert start_attributes(request_of(method)) == {"http.request.method": told, "url.scheme": "https"}
    assert server_attributes(record).get("http.route", "") == pattern


# --- when there are any


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True "},
    ],
)
def test_off_where_nobody_asks(environment: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    assert choose_telemetry(environment) == "off"
    assert not caplog.records


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_METRICS_EXPORTER"])
def test_asked_for_and_not_installed(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not there
    with caplog.at_level(logging.WARNING):
        assert choose_telemetry({name: "http://127.0.0.1:4318"}) == "off"
    assert "pip install 'backstream[otel]'" in caplog.text
    assert "4318" not in caplog.text


@pytest.mark.parametrize("choice", ["api", "sdk"])
def test_wanted_and_not_installed_is_an_error(choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry.sdk.trace", "opentelemetry.trace", "opentelemetry.context"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match="pip install 'backstream\\[otel\\]'"):
        create_app([saying()], Settings(keys_file=None, telemetry=choice))


async def test_with_the_api_alone_traces_go_on_as_they_came() -> None:
    """The API comes with other packages; without an SDK behind it spans are empty."""
    told: list[dict[str, str]] = []
    upstream = create_app([saying()], Settings(keys_file=None))
    upstream.observers.append(lambda record: told.append(dict(record.trace.ask()) if record.trace else {}))
    async with running(app=upstream) as behind:
        from backstream import BackendApi

        relay = type("Behind", (BackendApi,), {"url": behind.url, "models": ["one"]})
        async with running([relay], telemetry="api") as server:
            for headers in ({"traceparent": PARENT, "tracestate": "a=1"}, {}):
                assert (await server.converse(headers=headers)).status == 200
    assert told == [{"traceparent": PARENT, "tracestate": "a=1"}, {}]
