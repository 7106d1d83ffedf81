"""Spans and metrics as OpenTelemetry's own SDK exports them, and the pages as Prometheus' own client reads them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import venv
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".venv-conformance" / "telemetry"
TRACE, CLIENT_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter with what the package needs, OpenTelemetry's SDK and Prometheus' client."""
    pins = HERE / "requirements" / "telemetry.txt"
    wanted = pins.read_text("utf-8") + (ROOT / "requirements" / "base.txt").read_text("utf-8")
    ready = FOLDER / ".ready"
    interpreter = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        venv.create(FOLDER, with_pip=True, clear=True)
        pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5"]
        subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements" / "base.txt"], check=True)
        subprocess.run([*pip, "--only-binary=:all:", "--no-deps", "-r", pins], check=True)
        ready.write_text(wanted, "utf-8")
    return interpreter


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    kept = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, "PYTHONPATH": path, "PYTHONWARNINGS": "error", **more}


@pytest.fixture(scope="module")
def exported(python: Path) -> dict[str, Any]:
    program = [python, HERE / "telemetry_program.py"]
    done = subprocess.run(program, env=environment(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    assert done.stderr == b""  # the SDK logs what was used wrongly
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def spans_of(exported: dict[str, Any], model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the server span and the client span of the question to one model."""
    [call] = [span for span in exported["spans"] if span["name"] == f"chat {model}"]
    [server] = [span for span in exported["spans"] if span["span"] == call["parent"]]
    assert (server["kind"], call["kind"]) == ("SERVER", "CLIENT")
    return server, call


def points_of(exported: dict[str, Any], name: str, **attributes: str) -> list[dict[str, Any]]:
    wanted = {key.replace("__", "."): text for key, text in attributes.items()}.items()
    return [point for point in exported["points"] if point["name"] == name and wanted <= point["attributes"].items()]


def test_a_good_answer(exported: dict[str, Any]) -> None:
    server, call = spans_of(exported, "good")
    assert (server["name"], server["trace"], server["parent"]) == ("POST /v1/chat/completions", TRACE, CLIENT_SPAN)
    assert (server["status"], call["status"]) == ("UNSET", "UNSET")
    assert server["nanoseconds"] >= call["nanoseconds"] > 0
    told = server["attributes"]
    assert len(told.pop("backstream.request.id")) == 16
    assert told == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "backstream.end": "complete",
    }
    assert 0 < call["attributes"].pop("gen_ai.response.time_to_first_chunk") < call["nanoseconds"] / 1e9
    assert call["attributes"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "First",
        "gen_ai.request.model": "good",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "good-2",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 2,
    }


def test_a_providers_own_spans_stand_below(exported: dict[str, Any]) -> None:
    calls = [spans_of(exported, model)[1]["span"] for model in ("good",)]
    inside = [span for span in exported["spans"] if span["name"] == "inside"]
    assert [span["parent"] for span in inside if span["trace"] == TRACE][:1] == calls


def test_a_broken_answer(exported: dict[str, Any]) -> None:
    for model, status, error in (("cut", 200, "IncompleteStream"), ("busy", 429, "RateLimitError")):
        server, call = spans_of(exported, model)
        assert (server["status"], call["status"]) == ("ERROR", "ERROR")
        assert server["attributes"]["http.response.status_code"] == status
        assert server["attributes"]["error.type"] == call["attributes"]["error.type"] == error


def test_the_trace_goes_on(exported: dict[str, Any]) -> None:
    _, call = spans_of(exported, "far")
    assert exported["passed_on"] == [{"traceparent": f"00-{TRACE}-{call['span']}-01", "tracestate": "a=1"}]


def test_a_request_without_trace_begins_one(exported: dict[str, Any]) -> None:
    [lost] = [span for span in exported["spans"] if span["attributes"].get("http.response.status_code") == 404]
    assert (lost["name"], lost["parent"], lost["status"]) == ("GET", None, "UNSET")
    assert lost["trace"] != TRACE


def test_no_content_is_told(exported: dict[str, Any]) -> None:
    assert "secret" not in json.dumps(exported)


def test_metrics_by_the_conventions(exported: dict[str, Any]) -> None:
    whole = {"gen_ai__provider__name": "First", "gen_ai__operation__name": "chat", "gen_ai__request__model": "good"}
    for name in (
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
    ):
        [point] = points_of(exported, name, **whole)
        assert (point["unit"], point["count"], "error.type" in point["attributes"]) == ("s", 1, False)
    for kind, count in (("input", 3), ("output", 4)):
        [point] = points_of(exported, "gen_ai.client.token.usage", gen_ai__token__type=kind, **whole)
        assert (point["unit"], point["sum"], point["bounds"][:3]) == ("{token}", count, [1, 4, 16])
    [busy] = points_of(exported, "gen_ai.client.operation.duration", gen_ai__provider__name="Third")
    assert busy["attributes"]["error.type"] == "RateLimitError"
    assert points_of(exported, "gen_ai.server.time_to_first_token", gen_ai__provider__name="Second") == []
    http = points_of(exported, "http.server.request.duration", http__route="/v1/chat/completions", url__scheme="http")
    assert sum(point["count"] for point in http) == 4


def test_prometheus_reads_both_pages(exported: dict[str, Any]) -> None:
    plain, openmetrics = exported["pages"]
    assert plain == openmetrics  # its parser takes the suffix of counters off in both
    assert plain["backstream_requests"] == plain["process_cpu_seconds"] == "counter"
    assert plain["backstream_request_duration_seconds"] == "histogram"


class Collector(BaseHTTPRequestHandler):
    """Takes what OTLP over HTTP brings."""

    def do_POST(self) -> None:
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["content-length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_serve_sends_to_a_collector(python: Path, tmp_path: Path) -> None:
    collector = HTTPServer(("127.0.0.1", 0), Collector)
    taken: list[tuple[str, bytes]] = []
    collector.taken = taken  # type: ignore[attr-defined]
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{collector.server_port}"
        kept = environment(OTEL_EXPORTER_OTLP_ENDPOINT=address, HOME=str(tmp_path), NO_PROXY="127.0.0.1")
        program = "import sys; from backstream.cli.main import main; sys.exit(main())"
        server = subprocess.Popen(
            [python, "-c", program, "serve", "--port", "0"], env=kept, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stderr is not None
            url = server.stderr.readline().split()[-1]
            ask = f"import urllib.request; print(urllib.request.urlopen('{url}/v1/models').status)"
            subprocess.run([python, "-c", ask], check=True, timeout=60, env=kept)
        finally:
            server.terminate()
            server.communicate(timeout=60)
    finally:
        collector.shutdown()
        collector.server_close()
        thread.join()
    assert server.returncode == 0
    bodies = dict(taken)
    assert set(bodies) == {"/v1/traces", "/v1/metrics"}
    assert b"GET /v1/models" in bodies["/v1/traces"]
    assert b"http.server.request.duration" in bodies["/v1/metrics"]
    assert all(b"service.name\x12\x0c\n\nbackstream" in body for body in bodies.values())
