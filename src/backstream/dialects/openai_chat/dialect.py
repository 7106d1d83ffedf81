"""The dialect as one object: each method is one function of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.dialects.openai_chat.failures import parse_error, render_error
from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.dialects.openai_chat.reply import parse_reply, render_reply
from backstream.dialects.openai_chat.request import PATH, render_members
from backstream.dialects.openai_chat.request_in import parse_request
from backstream.dialects.openai_chat.stream import ChatStreamParser
from backstream.dialects.openai_chat.stream_out import ChatStreamRenderer
from backstream.dialects.openai_models import parse_models, render_models
from backstream.errors import BackstreamError, DecodeError, ProviderError, UnsupportedFeatureError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request
from backstream.wire.json_body import encode_body

__all__ = ["OpenAIChat"]


class OpenAIChat(msgspec.Struct, frozen=True):
    """OpenAI's chat completions; see :class:`backstream.dialects.base.Dialect` for what each method does.

    Attributes:
        quirks: What is odd about one back-end.
    """

    quirks: Quirks = Quirks()

    @property
    def name(self) -> str:
        """The dialect's name."""
        return NAME

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request."""
        return RenderedRequest(path=PATH, body=encode_body(render_members(request, receipts, self.quirks)))

    def stream_parser(self, options: CallOptions = CallOptions()) -> ChatStreamParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer."""
        return ChatStreamParser(self.quirks, options)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer."""
        return parse_reply(body, self.quirks)

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal."""
        return parse_error(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> RenderedRequest | None:
        """Chat completions have no such question."""
        del request, receipts
        return None

    def parse_token_count(self, body: bytes) -> int:
        """Chat completions have no such answer.

        Raises:
            DecodeError: Always.
        """
        raise DecodeError("chat completions count no tokens")

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request."""
        del path
        return parse_request(members, self.quirks)

    def stream_renderer(self, envelope: Envelope) -> ChatStreamRenderer:
        """Make the renderer of one streamed answer."""
        return ChatStreamRenderer(envelope, self.quirks)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer."""
        return render_reply(chunks, envelope, self.quirks)

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal."""
        return render_error(error)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        return render_models(models)

    def render_count(self, tokens: int) -> bytes:
        """Chat completions have no such question.

        Raises:
            UnsupportedFeatureError: Always.
        """
        raise UnsupportedFeatureError("chat completions count no tokens", "ask in another dialect")
