"""Scripted back-ends of every dialect on loopback: the model's name is the scenario, the bytes are the vendor's."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conformance.sdk.vendors.said import REFUSED, RETRY_AFTER_SECONDS, Asked, Said, say

DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "backend_api")
"""The dialects; each has its vendor's bytes in the module of that name."""
_PATIENCE_SECONDS = 20


class Upstreams:
    """The running back-ends.

    Args:
        port: Where they listen.
        key: The key they want; it must come with every request, and not in its URL.

    Attributes:
        cancelled: The dialects whose connection was closed while they were in the middle of an answer.
        problems: What was wrong with requests, whatever was answered.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self.key = key
        self.cancelled: dict[str, threading.Event] = {dialect: threading.Event() for dialect in DIALECTS}
        self.problems: list[str] = []

    def config(self) -> str:
        """Return a ``backstream.toml`` that names each of them ``up_…``, and asks none of them a second time."""
        return "[defaults.recovery]\nretries = 0\n\n" + "".join(
            f'[providers.up_{dialect}]\nurl = "http://127.0.0.1:{self._port}/{dialect}{vendor(dialect).URL_PATH}"\n'
            f'dialect = "{dialect}"\nkey = "{self.key}"\n\n'
            for dialect in DIALECTS
        )

    def was_cancelled(self, dialect: str) -> bool:
        """Say whether a connection was closed in the middle of an answer; waits for it."""
        return self.cancelled[dialect].wait(_PATIENCE_SECONDS)


def vendor(dialect: str) -> Any:
    """Return the module that reads and writes the vendor's bytes."""
    return importlib.import_module(f"conformance.sdk.vendors.{dialect}")


@contextlib.contextmanager
def running_upstreams(key: str) -> Iterator[Upstreams]:
    """Run the back-ends on a free loopback port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstreams = Upstreams(server.server_address[1], key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="upstreams")
    thread.start()
    try:
        yield server.upstreams
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    upstreams: Upstreams
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the gateway need not read on after an error
            self.upstreams.problems.append(traceback.format_exc(limit=-3))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """No list of models here."""
        self._send(404, "application/json", b'{"error":{"message":"no such path"}}')

    def do_POST(self) -> None:
        """Answer as the model's name says."""
        received = self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            received = self._read_chunks()
        dialect = self.path.split("/")[1]
        self._look_for_key(received)
        asked: Asked = vendor(dialect).read(self.path, json.loads(received))
        if asked.scenario.startswith("error_") and asked.scenario != "error_in_stream":
            self._refuse(dialect, int(asked.scenario.removeprefix("error_")))
        elif asked.stream:
            self._stream(dialect, say(asked))
        else:
            self._send(200, "application/json", vendor(dialect).whole(say(asked)))

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _look_for_key(self, received: bytes) -> None:
        key = self.server.upstreams.key
        if key not in str(self.headers) and key.encode() not in received:
            self.server.upstreams.problems.append(f"{self.path}: the key did not arrive")
        if key in self.path:
            self.server.upstreams.problems.append(f"{self.path}: the key is in the path")

    def _refuse(self, dialect: str, asked: int) -> None:
        spoken = vendor(dialect)
        status = spoken.refusal_status(asked) if hasattr(spoken, "refusal_status") else asked
        fields = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
        content_type = spoken.STREAM_TYPE if status == 200 else "application/json"
        self._send(status, content_type, spoken.refuse(asked, REFUSED), **fields)

    def _send(self, status: int, content_type: str, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, dialect: str, said: Said) -> None:
        self.send_response(200)
        self.send_header("Content-Type", vendor(dialect).STREAM_TYPE)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in vendor(dialect).stream(said):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        if said.fault == "hold":
            self._wait_for_the_end(dialect)
        if said.fault in ("cut", "hold"):
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def _wait_for_the_end(self, dialect: str) -> None:
        self.connection.settimeout(_PATIENCE_SECONDS)
        try:
            more = self.connection.recv(1)
        except ConnectionError:
            more = b""
        except TimeoutError:
            return
        if more:
            self.server.upstreams.problems.append(f"{self.path}: more arrived than the request")
        else:
            self.server.upstreams.cancelled[dialect].set()
