"""The dialect of Anthropic's Messages API, both directions.

Source: https://platform.claude.com/docs/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.anthropic_messages.failures import parse_error, render_error
from backstream.dialects.anthropic_messages.models import (
    parse_models,
    parse_token_count,
    render_count,
    render_models,
)
from backstream.dialects.anthropic_messages.reply import parse_reply, render_reply
from backstream.dialects.anthropic_messages.request import render_count_request, render_request
from backstream.dialects.anthropic_messages.request_in import parse_request
from backstream.dialects.anthropic_messages.request_reasoning import ThinkingStyle
from backstream.dialects.anthropic_messages.stream import AnthropicParser
from backstream.dialects.anthropic_messages.stream_out import AnthropicRenderer
from backstream.dialects.anthropic_messages.vendor import DEFAULT_MAX_TOKENS, NAME
from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.errors import BackstreamError, ProviderError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request

__all__ = ["DEFAULT_MAX_TOKENS", "AnthropicMessages"]


class AnthropicMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Anthropic's Messages API; see :class:`backstream.dialects.base.Dialect` for its methods.

    Attributes:
        default_max_tokens: What is sent where a request sets no ``max_tokens``, which the API demands; a budget for
            thinking is added to it. Default 8192.
        thinking: How models are told to think: ``adaptive``, with an effort; ``budget``, in tokens; ``auto``, by the
            model's name. Default ``auto``.
        system_turns: Whether system turns in mid-conversation stay where they are; ``None`` goes by the model's name.
            Elsewhere they join the first ones. Default ``None``.
    """

    default_max_tokens: int = DEFAULT_MAX_TOKENS
    thinking: ThinkingStyle = "auto"
    system_turns: bool | None = None

    @property
    def name(self) -> str:
        """``anthropic_messages``."""
        return NAME

    # --- for providers

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request; see the contract."""
        return render_request(
            request,
            receipts,
            default_max_tokens=self.default_max_tokens,
            thinking=self.thinking,
            system_turns=self.system_turns,
        )

    def stream_parser(self, options: CallOptions = CallOptions()) -> AnthropicParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer."""
        return AnthropicParser(options)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer; see the contract."""
        return parse_reply(body)

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal; see the contract."""
        return parse_error(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models; see the contract."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render the question how many tokens a request has."""
        return render_count_request(request, receipts, thinking=self.thinking, system_turns=self.system_turns)

    def parse_token_count(self, body: bytes) -> int:
        """Parse the answer to that; see the contract."""
        return parse_token_count(body)

    # --- for servers

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request; see the contract. The path says nothing."""
        del path
        return parse_request(members)

    def stream_renderer(self, envelope: Envelope) -> AnthropicRenderer:
        """Make the renderer of one streamed answer."""
        return AnthropicRenderer(envelope)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer; see the contract."""
        return render_reply(chunks, envelope)

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal; see the contract."""
        return render_error(error)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models; see the contract."""
        return render_models(models)

    def render_count(self, tokens: int) -> bytes:
        """Render a number of tokens; see the contract."""
        return render_count(tokens)
