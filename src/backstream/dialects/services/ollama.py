"""Ollama's own service: embeddings."""

from __future__ import annotations

import msgspec

from backstream.dialects.base import RenderedRequest
from backstream.dialects.services.base import Members, ServiceForms, TextInput, counted, decode_as, text_inputs
from backstream.errors import DecodeError
from backstream.services import Embeddings
from backstream.wire.json_body import encode_body

__all__ = ["OllamaServices"]

_COUNTS = {"input_tokens": ("prompt_eval_count",)}


class _Answer(msgspec.Struct):
    model: str | None = None
    embeddings: tuple[tuple[float, ...], ...] | None = None
    embedding: tuple[float, ...] | None = None  # of /api/embeddings, the route before
    prompt_eval_count: int | None = None


class OllamaServices(ServiceForms, frozen=True):
    """Embeddings as Ollama makes them.

    Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
    """

    def render_embeddings(self, path: str, model: str, texts: TextInput, members: Members) -> RenderedRequest:
        """Render ``{model, input}``; ``dimensions``, ``truncate``, ``keep_alive`` and ``options`` have their names."""
        text = texts if isinstance(texts, str) else text_inputs(self.name, texts)
        return RenderedRequest(path=path, body=encode_body({"model": model, "input": text, **members}))

    def parse_embeddings(self, body: bytes) -> Embeddings:
        """Parse the vectors, also in the form of the route before."""
        answer = decode_as(body, _Answer, "embeddings of Ollama's form")
        vectors = answer.embeddings
        if vectors is None:
            if answer.embedding is None:
                raise DecodeError("the answer holds no embeddings")
            vectors = (answer.embedding,)
        raw = {} if answer.prompt_eval_count is None else {"prompt_eval_count": answer.prompt_eval_count}
        return Embeddings(vectors=vectors, model=answer.model, usage=counted(self.name, raw, _COUNTS, answer.model))
