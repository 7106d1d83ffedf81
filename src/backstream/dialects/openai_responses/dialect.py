"""OpenAI's Responses API as a :class:`backstream.dialects.base.Dialect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.dialects.openai_models import parse_models, render_models
from backstream.dialects.openai_responses.counts import parse_count, render_count, render_question
from backstream.dialects.openai_responses.failures import parse_error, render_error
from backstream.dialects.openai_responses.members import NAME, PATH
from backstream.dialects.openai_responses.reply import parse_reply, render_reply
from backstream.dialects.openai_responses.request import render_members
from backstream.dialects.openai_responses.request_in import parse_request
from backstream.dialects.openai_responses.stream import ResponsesParser
from backstream.dialects.openai_responses.stream_out import ResponsesRenderer
from backstream.errors import BackstreamError, ProviderError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request
from backstream.wire.json_body import encode_body

__all__ = ["OpenAIResponses"]


class OpenAIResponses(msgspec.Struct, frozen=True):
    """OpenAI's Responses API; see :class:`backstream.dialects.base.Dialect` for what each method does."""

    @property
    def name(self) -> str:
        """The dialect's name."""
        return NAME

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request."""
        return RenderedRequest(path=PATH, body=encode_body(render_members(request, receipts)))

    def stream_parser(self, options: CallOptions = CallOptions()) -> ResponsesParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer."""
        return ResponsesParser(options)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer."""
        return parse_reply(body)

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal."""
        return parse_error(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render the question how many tokens a request has."""
        return RenderedRequest(path=f"{PATH}/input_tokens", body=encode_body(render_question(request, receipts)))

    def parse_token_count(self, body: bytes) -> int:
        """Parse the answer to that."""
        return parse_count(body)

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request."""
        del path
        return parse_request(members)

    def stream_renderer(self, envelope: Envelope) -> ResponsesRenderer:
        """Make the renderer of one streamed answer."""
        return ResponsesRenderer(envelope)

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
        """Render a number of tokens."""
        return render_count(tokens)
