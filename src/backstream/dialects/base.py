"""The contract of a dialect: how one kind of back-end is spoken to, and how one is, both ways; pure.

``parse_*`` reads theirs, ``render_*`` writes theirs. A provider renders requests and parses answers; a server parses
requests and renders answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from backstream.errors import BackstreamError, ProviderError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block
from backstream.request import Receipts, Request
from backstream.wire.http import Body

__all__ = ["Dialect", "Envelope", "ModelPage", "RenderedRequest", "StreamParser", "StreamRenderer"]


class RenderedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a back-end takes it, less where it is and the key.

    Attributes:
        path: What to append to the back-end's URL; begins with a slash.
        body: The body, JSON.
        query: Parameters of the URL.
        headers: Header fields the dialect demands.
    """

    path: str
    body: Body
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<RenderedRequest {self.path}>"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of an answer beside what its provider says; made by the server, so that rendering stays pure.

    Attributes:
        id: The answer's id, in any form; a dialect puts its own prefix before it.
        model: The model the client asked for; a ``Start`` chunk's own wins.
        created: When the answer began, in seconds since the epoch.
        request: What the client asked for.
    """

    id: str
    model: str
    created: int
    request: Request = Request()


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list of models.

    Attributes:
        models: Its models.
        next_query: The URL's parameters for the next page; ``None`` on the last one.
    """

    models: tuple[ModelInfo, ...] = ()
    next_query: Mapping[str, str] | None = None


class StreamParser(Protocol):
    """Turns the body of one streamed answer into blocks of chunks."""

    @property
    def finished(self) -> bool:
        """Whether the back-end has said that the answer is whole, though more, as its usage, may follow.

        Whoever reads waits but a short while for the end of the body then, unless content shows that it was not so; see
        :class:`backstream.dialects.last_word.LastWord`. It is asked for after each ``feed``, and
        ``done`` only where it is true: it must cost nothing.
        """
        ...

    @property
    def done(self) -> bool:
        """Whether the back-end has said its last word: whoever reads may call ``finish`` before the body ends."""
        ...

    def feed(self, data: bytes) -> Block:
        """Take what has arrived; give every chunk it completes.

        An error the back-end reports is no chunk: it comes as an ``End`` with that error, behind the chunks before it,
        and nothing follows it. Damage (a line over its cap, no JSON) comes in the same way.
        """
        ...

    def finish(self, *, framed: bool) -> Block:
        """Say how the stream ended, the body being over; the last item is an ``End``.

        ``complete`` only on the back-end's own word for done; ``[]`` where an ``End`` has been given already.

        Args:
            framed: Whether HTTP framed the body to its end (last chunk, or ``Content-Length`` reached).
        """
        ...


class StreamRenderer(Protocol):
    """Turns blocks of chunks into the body of one streamed answer; holds what must be held until a part is over.

    Attributes:
        content_type: What the answer calls itself.
        keep_alive: What to send while there is nothing to say; clients of the dialect pass over it.
    """

    content_type: str
    keep_alive: bytes

    def render(self, block: Block) -> bytes:
        """Render a block; an ``End`` in it closes the answer in the dialect's own words.

        An ``End`` that is not ``complete`` becomes the dialect's error event, and never looks like a whole answer.
        """
        ...


class Dialect(Protocol):
    """One kind of back-end, as pure functions. An object of it is frozen; it may hold quirks of one back-end.

    Attributes:
        name: The dialect's name, as the table of providers spells it; the key of ``opaque`` members.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class

    # --- for providers

    def render_request(self, request: Request, receipts: Receipts) -> RenderedRequest:
        """Render a request, streamed or not by ``request.stream``; say on ``receipts`` what became of each parameter.

        Content is never dropped in silence.

        Raises:
            UnsupportedFeatureError: Content that this dialect has no words for.
            InvalidRequestError: Something that it cannot say as it stands.
        """
        ...

    def stream_parser(self, options: CallOptions = CallOptions()) -> StreamParser:  # noqa: B008 - frozen
        """Make the parser of one streamed answer, under the caps of ``options``."""
        ...

    def parse_reply(self, body: bytes) -> Block:
        """Parse a whole answer into chunks; the last item is an ``End``.

        Raises:
            DecodeError: It is no JSON, or not of this dialect.
        """
        ...

    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Read the refusal of a request: its class by status and code, never by text.

        Args:
            status: The HTTP status; ``None`` for an error inside a stream.
            headers: Header fields, readable by lower case.
            body: The body, or the event.
        """
        ...

    def parse_models(self, body: bytes) -> ModelPage:
        """Parse a list of models.

        Raises:
            DecodeError: It is no JSON, or not of this dialect.
        """
        ...

    def render_token_count(self, request: Request, receipts: Receipts) -> RenderedRequest | None:
        """Render the question how many tokens a request has; ``None`` where the dialect has no such question."""
        ...

    def parse_token_count(self, body: bytes) -> int:
        """Parse the answer to that.

        Raises:
            DecodeError: It is no JSON, or not of this dialect.
        """
        ...

    # --- for servers

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request; what it holds that :class:`Request` has no place for is in ``extra`` and ``opaque``.

        Args:
            members: The body's members. Where the server keeps media out of memory, a ``MediaItem`` stands where the
                base64 text or ``data:`` URI was.
            path: The path it was sent to, in dialects that say the model, or whether to stream, there.

        Raises:
            InvalidRequestError: Another shape; the text says where.
        """
        ...

    def stream_renderer(self, envelope: Envelope) -> StreamRenderer:
        """Make the renderer of one streamed answer."""
        ...

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer; its ``End``, if there is one, is ``complete``."""
        ...

    def render_error(self, error: BackstreamError) -> tuple[int, bytes]:
        """Render a refusal.

        Returns:
            The HTTP status and the body. The text of an error is shown, its ``body`` never.
        """
        ...

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        ...

    def render_count(self, tokens: int) -> bytes:
        """Render a number of tokens, as the answer to the dialect's question for it.

        Raises:
            UnsupportedFeatureError: The dialect has no such question.
        """
        ...
