"""A model server on loopback for tests of the command line, which run it from outside: a thread, scripted answers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ModelServer", "chat_stream", "model_server", "ollama_stream"]

Answer = tuple[int, str, bytes]


def chat_stream(*deltas: dict[str, Any], finish: str = "stop", usage: dict[str, int] | None = None) -> Answer:
    """An answer as OpenAI's chat completions stream it."""
    events: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        events.append({"choices": [], "usage": usage})
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "talker-1"}
    lines = [f"data: {json.dumps({**frame, **event})}\n\n" for event in events]
    return 200, "text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode()


def ollama_stream(*texts: str) -> Answer:
    """An answer as Ollama streams it."""
    lines: list[dict[str, Any]] = [{"message": {"role": "assistant", "content": text}, "done": False} for text in texts]
    counts = {"prompt_eval_count": 7, "eval_count": 3}
    lines.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **counts})
    frame = {"model": "llama3.2:latest", "created_at": "2026-01-01T00:00:00Z"}
    return 200, "application/x-ndjson", "".join(json.dumps({**frame, **line}) + "\n" for line in lines).encode()


class ModelServer:
    """Answers each GET by its path, and each POST with the next of its answers; the last one stays.

    Attributes:
        documents: What a GET is answered, by path.
        answers: What POSTs are answered.
        bodies: The bodies of the POSTs.
        heads: Path and header fields of all requests.
    """

    def __init__(self, documents: dict[str, Any], answers: Sequence[Answer] = (), port: int = 0) -> None:
        self.documents = documents
        self.answers = list(answers)
        self.bodies: list[Any] = []
        self.heads: list[tuple[str, dict[str, str]]] = []
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ours.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                found = ours.documents.get(self.path.partition("?")[0])
                status = 404 if found is None else 200
                self._send((status, "application/json", json.dumps(found or {"error": "no such path"}).encode()))

            def do_POST(self) -> None:
                ours.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                ours.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._send(ours.answers[min(len(ours.bodies), len(ours.answers)) - 1])

            def _send(self, answer: Answer) -> None:
                status, kind, body = answer
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @classmethod
    def openai(cls, *answers: Answer) -> ModelServer:
        """A server of OpenAI's kind."""
        models = [{"id": "text-embedding-1", "object": "model"}, {"id": "talker-1", "object": "model"}]
        return cls({"/v1/models": {"object": "list", "data": models}}, answers)

    @classmethod
    def ollama(cls, *answers: Answer, port: int = 0) -> ModelServer:
        """A server that is taken for Ollama."""
        tags = {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "details": {"family": "llama"}}]}
        return cls({"/api/version": {"version": "0.13.0"}, "/api/tags": tags}, answers, port)


@contextlib.contextmanager
def model_server(server: ModelServer) -> Iterator[ModelServer]:
    """Close a server at the end of a block."""
    try:
        yield server
    finally:
        server.close()
