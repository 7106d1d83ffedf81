"""The dialect as one object: each method is one function of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.dialects.ollama.failures import parse_error, render_error
from backstream.dialects.ollama.models import parse_models, render_models
from backstream.dialects.ollama.reply import parse_reply, render_reply
from backstream.dialects.ollama.request import PATH, render_members
from backstream.dialects.ollama.request_in import parse_request
from backstream.dialects.ollama.stream import OllamaParser
from backstream.dialects.ollama.stream_out import OllamaRenderer
from backstream.dialects.ollama.vendor import NAME
from backstream.errors import BackstreamError, DecodeError, ProviderError, UnsupportedFeatureError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request
from backstream.wire.json_body import encode_body

__all__ = ["Ollama"]


class Ollama(msgspec.Struct, frozen=True, kw_only=True):
    """Ollama's own API; see :class:`backstream.dialects.base.Dialect` for what each method does.

    Attributes:
        think_tags: Whether ``<think>`` text at the beginning of an answer is reasoning: servers tell it apart by
            themselves only where they know the model's template.
    """

    think_tags: bool = True

    @property
    def name(self) -> str:
        """The dialect's name."""
        return NAME

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request."""
        return RenderedRequest(path=PATH, body=encode_body(render_members(request, receipts)))

    def stream_parser(self, options: CallOptions = CallOptions()) -> OllamaParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer."""
        return OllamaParser(options, think_tags=self.think_tags)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer."""
        return parse_reply(body, think_tags=self.think_tags)

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal."""
        return parse_error(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> None:
        """Ollama has no such question."""
        del request, receipts

    def parse_token_count(self, body: bytes) -> int:
        """Ollama has no such answer.

        Raises:
            DecodeError: Always.
        """
        raise DecodeError("Ollama counts no tokens")

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request."""
        del path
        return parse_request(members)

    def stream_renderer(self, envelope: Envelope) -> OllamaRenderer:
        """Make the renderer of one streamed answer."""
        return OllamaRenderer(envelope)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer."""
        return render_reply(chunks, envelope)

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal."""
        return render_error(error)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        return render_models(models)

    def render_count(self, tokens: int) -> bytes:
        """Ollama has no such question.

        Raises:
            UnsupportedFeatureError: Always.
        """
        raise UnsupportedFeatureError("Ollama counts no tokens", "ask in another dialect")
