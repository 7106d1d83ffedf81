"""A whole answer as a value, and what is known about it."""

from __future__ import annotations

from typing import Any

import msgspec

from backstream.chunks import Citation, Finish, Switched, Usage
from backstream.errors import InvalidMediaError
from backstream.reply.end import End
from backstream.request.messages import media_from_url, render_messages
from backstream.request.parts import (
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Turn,
)
from backstream.request.receipts import Receipt

__all__ = ["Cost", "RateLimit", "Reply", "Service"]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer cost.

    Attributes:
        amount: The sum.
        currency: Its code, ISO 4217.
        source: Where the price comes from: ``configuration``, ``provider``, or the name of the price list.
    """

    amount: float
    currency: str
    source: str


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one rate limit, as the back-end's header fields told it.

    Attributes:
        what: What is limited: ``requests``, ``tokens``, ``input-tokens``, …
        limit: How many there may be.
        remaining: How many are left.
        reset: When it starts anew, in the back-end's own words.
    """

    what: str
    limit: int | None = None
    remaining: int | None = None
    reset: str | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the back-end's service said of a request beside the answer.

    Attributes:
        provider: The provider's name here.
        request_id: The id to name when asking the vendor.
        rate_limits: See :class:`RateLimit`.
    """

    provider: str = ""
    request_id: str | None = None
    rate_limits: tuple[RateLimit, ...] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: what its chunks add up to.

    Attributes:
        parts: What was said, in order: text, reasoning, tool calls, media, refusals.
        media_urls: Where media lie that the text only shows (URLs or data URIs), in order.
        usage: The last usage chunk; ``None`` where the back-end gave none.
        finish: The back-end's word for done; ``None`` where it gave none.
        citations: The sources it rests on.
        logprobs: Log probabilities, one object a token, in OpenAI's shape.
        id: The answer's id, as the back-end gave it.
        model: The model that really answered, as the back-end names it.
        route: Who really answered, as ``provider/model``; ``""`` where that is not known.
        switches: The changes of route on the way, in order.
        provider: The members of the last ``provider`` event.
        conversation: State to be sent back with the next turn.
        end: How the stream ended; ``None`` where that is not known.
        service: See :class:`Service`.
        receipts: What became of each parameter of the request.
        cost: What it cost; ``None`` where the price or the usage is not known.
        parsed: The answer as the type that was asked for; ``None`` where none was.
    """

    parts: tuple[Part, ...] = ()
    media_urls: tuple[str, ...] = ()
    usage: Usage | None = None
    finish: Finish | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    id: str | None = None
    model: str | None = None
    route: str = ""
    switches: tuple[Switched, ...] = ()
    provider: dict[str, Any] | None = None
    conversation: dict[str, Any] | None = None
    end: End | None = None
    service: Service | None = None
    receipts: tuple[Receipt, ...] = ()
    cost: Cost | None = None
    parsed: Any = None

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def reasoning(self) -> str:
        """The reasoning's text."""
        return "".join(part.text for part in self.parts if isinstance(part, ReasoningPart))

    @property
    def refusal(self) -> str | None:
        """The model's own refusal; ``None`` where it did not refuse."""
        return "".join(part.text for part in self.parts if isinstance(part, RefusalPart)) or None

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The tool calls, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """Generated media, in order; those the text only shows come last."""
        whole = [part for part in self.parts if isinstance(part, MediaPart)]
        return (*whole, *map(_media_at, self.media_urls))

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; ``None`` where the back-end did not say."""
        return self.finish.reason if self.finish is not None else None

    @property
    def turn(self) -> Turn:
        """The answer as a turn of the conversation."""
        return Turn(role="assistant", parts=self.parts)

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message for the next turn's ``messages``, what its back-end wants back with it included."""
        return render_messages((self.turn,))[0]

    def __str__(self) -> str:
        return self.text


def _media_at(url: str) -> MediaPart:
    try:
        return media_from_url(url)
    except InvalidMediaError:  # the back-end's damage must not hide the rest of its answer
        return MediaPart(kind="document", url=url)
