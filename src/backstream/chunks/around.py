"""What a server says around the answer: who answers, notices and failures, what a page may show."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from backstream.chunks.base import Maybe, Typed

__all__ = [
    "AuthEvent",
    "Continue",
    "Conversation",
    "ErrorEvent",
    "Log",
    "Login",
    "Notice",
    "Parameters",
    "Preview",
    "ProviderInfo",
    "Suggestions",
    "Switched",
    "Synthesize",
    "Title",
    "UpstreamHeaders",
    "UpstreamRequest",
    "UpstreamResponse",
    "Variant",
]


class ProviderInfo(Typed, frozen=True, tag="provider"):
    """Who answers. First event of a stream, and again when the server picks another provider.

    Attributes:
        provider: ``name``, ``url``, ``label`` and ``model`` of the provider.
    """

    type: ClassVar[str] = "provider"
    provider: Maybe[dict[str, Any]] = None


class Parameters(Typed, frozen=True, tag="parameters"):
    """The parameters the provider knows, with defaults or examples."""

    type: ClassVar[str] = "parameters"
    parameters: Maybe[dict[str, Any]] = None


class Conversation(Typed, frozen=True, tag="conversation"):
    """State of the conversation, to be sent back with its next turn; opaque, by provider name."""

    type: ClassVar[str] = "conversation"
    conversation: Maybe[dict[str, Any]] = None


class Preview(Typed, frozen=True, tag="preview"):
    """A first view of media still being made; replaced by later content.

    Attributes:
        preview: Markdown.
        urls: Where the media lie.
        alt: What they show.
    """

    type: ClassVar[str] = "preview"
    preview: Maybe[str] = None
    urls: Maybe[str | list[str]] = None
    alt: Maybe[str] = None


class Title(Typed, frozen=True, tag="title"):
    """A title for the conversation."""

    type: ClassVar[str] = "title"
    title: Maybe[str] = None


class Suggestions(Typed, frozen=True, tag="suggestions"):
    """What the user might ask next."""

    type: ClassVar[str] = "suggestions"
    suggestions: Maybe[list[str]] = None


class Switched(Typed, frozen=True, tag="switched"):
    """Another route goes on with the answer.

    Attributes:
        from_: The route that was left, as ``provider/model``; on the wire ``from``.
        to: The route that goes on.
        why: The class name of the error that made it so, or ``silence``.
        kept: What of the answer before it still holds: ``all``, or ``nothing``: then discard what came before.
    """

    type: ClassVar[str] = "switched"
    from_: Maybe[str] = msgspec.field(name="from", default=None)
    to: Maybe[str] = None
    why: Maybe[str] = None
    kept: Maybe[str] = None


class Synthesize(Typed, frozen=True, tag="synthesize"):
    """What to send to the server's speech synthesis: ``{"provider": …, "data": {…}}``."""

    type: ClassVar[str] = "synthesize"
    synthesize: Maybe[dict[str, Any]] = None


class Variant(Typed, frozen=True, tag="variant"):
    """Another version of the answer."""

    type: ClassVar[str] = "variant"
    variant: Maybe[str] = None


class Continue(Typed, frozen=True, tag="continue"):
    """What to send to have a cut answer continued."""

    type: ClassVar[str] = "continue"
    continue_: Maybe[str] = msgspec.field(name="continue", default=None)


class UpstreamRequest(Typed, frozen=True, tag="request"):
    """The JSON the server sent to its own back-end."""

    type: ClassVar[str] = "request"
    request: Maybe[dict[str, Any]] = None


class UpstreamResponse(Typed, frozen=True, tag="response"):
    """What the server's own back-end answered: an object, or plain text."""

    type: ClassVar[str] = "response"
    response: Maybe[dict[str, Any] | str] = None


class UpstreamHeaders(Typed, frozen=True, tag="headers"):
    """The header fields of the server's own back-end."""

    type: ClassVar[str] = "headers"
    headers: Maybe[dict[str, Any]] = None


class Log(Typed, frozen=True, tag="log"):
    """A debug line of the server."""

    type: ClassVar[str] = "log"
    log: Maybe[str] = None


class Notice(Typed, frozen=True, tag="message"):
    """A problem that did not end the answer.

    Attributes:
        message: ``"Type: text"``.
        error: The class name of the problem.
    """

    type: ClassVar[str] = "message"
    message: Maybe[str] = None
    error: Maybe[str] = None


class ErrorEvent(Typed, frozen=True, tag="error"):
    """The answer failed. Our client raises it; a server renders it.

    Attributes:
        error: The error's class name, or from old servers its text.
        message: ``"Type: text"``.
        kind: Our class of the error.
        status: The HTTP status it stands for.
        retryable: Whether the same call may succeed later.
        retry_after_seconds: How long to wait before it.
    """

    type: ClassVar[str] = "error"
    error: Maybe[str] = None
    message: Maybe[str] = None
    kind: Maybe[str] = None
    status: Maybe[int] = None
    retryable: Maybe[bool] = None
    retry_after_seconds: Maybe[float] = None


class AuthEvent(Typed, frozen=True, tag="auth"):
    """The answer failed for want of a valid key. Our client raises it; a server renders it.

    Attributes:
        auth: The error's class name.
        message: ``"Type: text"``.
        kind: Our class of the error.
        status: The HTTP status it stands for.
        retryable: Whether the same call may succeed later.
    """

    type: ClassVar[str] = "auth"
    auth: Maybe[str] = None
    message: Maybe[str] = None
    kind: Maybe[str] = None
    status: Maybe[int] = None
    retryable: Maybe[bool] = None


class Login(Typed, frozen=True, tag="login"):
    """Where to log in (servers up to 0.4)."""

    type: ClassVar[str] = "login"
    login: Maybe[str] = None
