"""The dialect of Google's Gemini API, both directions: ``generateContent`` and ``streamGenerateContent``, ``v1beta``.

Source: https://ai.google.dev/api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.dialects.gemini.failures import parse_error, render_error
from backstream.dialects.gemini.models import parse_models, parse_token_count, render_count, render_models
from backstream.dialects.gemini.quirks import NAME, Quirks
from backstream.dialects.gemini.reply import parse_reply, render_reply
from backstream.dialects.gemini.request import render_request, render_token_count
from backstream.dialects.gemini.request_in import parse_request
from backstream.dialects.gemini.stream import GeminiParser
from backstream.dialects.gemini.stream_out import GeminiRenderer
from backstream.errors import BackstreamError, ProviderError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request

__all__ = ["Gemini", "Quirks"]


class Gemini(msgspec.Struct, frozen=True):
    """The Gemini dialect; see :class:`backstream.dialects.base.Dialect` for its methods.

    Attributes:
        quirks: What is odd about the back-end.
    """

    quirks: Quirks = Quirks()

    @property
    def name(self) -> str:
        """The dialect's name."""
        return NAME

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request; the model stands in the path."""
        return render_request(request, receipts, self.quirks)

    def stream_parser(self, options: CallOptions = CallOptions()) -> GeminiParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer, in either framing."""
        return GeminiParser(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer."""
        return parse_reply(body)

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal, by reason, status word and number."""
        return parse_error(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse one page of ``/models``."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render ``countTokens`` with the whole request."""
        return render_token_count(request, receipts, self.quirks)

    def parse_token_count(self, body: bytes) -> int:
        """Parse the answer of ``countTokens``."""
        return parse_token_count(body)

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request; the path says the model, and by its method whether to stream."""
        return parse_request(members, path, self.quirks)

    def stream_renderer(self, envelope: Envelope) -> GeminiRenderer:
        """Make the renderer of one streamed answer, in the framing of ``quirks``."""
        return GeminiRenderer(envelope, self.quirks)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer."""
        return render_reply(chunks, envelope)

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal with Google's status word."""
        return render_error(error)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        return render_models(models)

    def render_count(self, tokens: int) -> bytes:
        """Render the answer of ``countTokens``."""
        return render_count(tokens)
