"""The dialect as one object: each method is one function of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.dialects.backend_api.failures import parse_refusal, render_refusal
from backstream.dialects.backend_api.models import parse_models, render_models
from backstream.dialects.backend_api.request import CONVERSATION_PATH, EVENTS_FIELD
from backstream.dialects.backend_api.request_in import parse_request
from backstream.dialects.backend_api.request_out import NAME, render_members
from backstream.dialects.backend_api.stream import BackendApiParser, Framing
from backstream.dialects.backend_api.stream_out import BackendApiRenderer
from backstream.dialects.base import Envelope, ModelPage, RenderedRequest
from backstream.errors import BackstreamError, DecodeError, ProviderError, UnsupportedFeatureError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.request import Receipts, Request
from backstream.wire.json_body import encode_body

__all__ = ["BackendApiDialect"]


class BackendApiDialect(msgspec.Struct, frozen=True, kw_only=True):
    """The protocol of g4f's servers and ours; see :class:`backstream.dialects.base.Dialect` for what each method does.

    It has no whole answers: a reply is a stream, read and written at once.

    Attributes:
        framing: How what is rendered is framed; what is parsed tells by itself.
        own_types: Whether what is rendered holds event types that only backstream knows.
    """

    framing: Framing = "sse"
    own_types: bool = False

    @property
    def name(self) -> str:
        """The dialect's name."""
        return NAME

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request; it asks for all event types."""
        body = encode_body(render_members(request, receipts))
        return RenderedRequest(path=CONVERSATION_PATH, body=body, headers=EVENTS_FIELD)

    def stream_parser(self, options: CallOptions = CallOptions()) -> BackendApiParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer."""
        return BackendApiParser(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)

    def parse_reply(self, body: bytes) -> Block:
        """Parse a stream that is whole."""
        parser = BackendApiParser()
        return [*parser.feed(body), *parser.finish(framed=True)]

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read a refusal."""
        return parse_refusal(status, headers, body)

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models."""
        return parse_models(body)

    def render_token_count(self, request: Request, receipts: Receipts) -> None:
        """This protocol has no such question."""
        del request, receipts

    def parse_token_count(self, body: bytes) -> int:
        """This protocol has no such answer.

        Raises:
            DecodeError: Always.
        """
        raise DecodeError("servers of the backend-api count no tokens")

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request."""
        del path
        return parse_request(members)

    def stream_renderer(self, envelope: Envelope) -> BackendApiRenderer:
        """Make the renderer of one streamed answer."""
        return BackendApiRenderer(self.framing, own_types=self.own_types, answer_id=envelope.id)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a stream that is whole."""
        renderer = self.stream_renderer(envelope)
        return renderer.render([chunk for chunk in chunks if not isinstance(chunk, End)]) + renderer.finish()

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal."""
        return render_refusal(error)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        return render_models(models)

    def render_count(self, tokens: int) -> bytes:
        """This protocol has no such question.

        Raises:
            UnsupportedFeatureError: Always.
        """
        raise UnsupportedFeatureError("the backend-api counts no tokens", "ask in another dialect")
