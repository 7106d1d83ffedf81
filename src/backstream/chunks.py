"""What a back-end says: one chunk per event, a value that is also its own wire form.

A chunk *is* a backend-api event, ``{"type": "content", "content": "Hi"}``. Known types are typed, immutable, slotted
structs; an event of an unknown type, or one whose members have other types than expected, is an :class:`OpenResponse`
that keeps every member. Whatever was in an event is in its chunk: members that a typed chunk does not declare, and
explicit nulls, live in ``extra``. Knows JSON types, but neither JSON text nor any other dialect.

Source: ``docs/protocol.md``, section "Events".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union

import msgspec

__all__ = [
    "KNOWN_TYPES",
    "AuthEvent",
    "Content",
    "Continue",
    "Conversation",
    "ErrorEvent",
    "Extra",
    "Finish",
    "Log",
    "Login",
    "Notice",
    "OpenResponse",
    "Parameters",
    "Preview",
    "ProviderInfo",
    "RawResponse",
    "Reasoning",
    "Suggestions",
    "Synthesize",
    "Title",
    "ToolCalls",
    "UpstreamHeaders",
    "UpstreamRequest",
    "UpstreamResponse",
    "Usage",
    "Variant",
]

T = TypeVar("T")

if TYPE_CHECKING:
    Maybe = Union[T, None]  # noqa: UP007 - a generic alias has to be spelt so
else:

    class Maybe:
        """``Maybe[str]`` reads as ``str | None`` and decodes as ``str``.

        An absent member is ``None``; an explicit null fails the fast decoder, takes the slow path, and is kept in
        ``extra``: so absent and null stay apart, and an event survives decoding and encoding unchanged.
        """

        def __class_getitem__(cls, item):
            return item


class RawResponse:
    """Any event of a back-end's answer.

    Members are attributes (``chunk.content``) and items (``chunk["content"]``). Methods win over members of the same
    name in attribute access; ``chunk["get_dict"]`` reaches such a member. ``str(chunk)`` is what a reader should see:
    the text of content, the empty string of everything else.

    Attributes:
        type: The event's type, ``""`` where it has none.
    """

    __slots__ = ()
    type: ClassVar[str] = ""

    @staticmethod
    def from_dict(members: Mapping[str, Any]) -> RawResponse:
        """Make the chunk for one event; the one open constructor.

        Args:
            members: The event's members, JSON values.

        Returns:
            The typed chunk of ``members["type"]`` where it fits; else an :class:`OpenResponse`. Never fails for a
            mapping with string keys.
        """
        kind = members.get("type")
        cls = KNOWN_TYPES.get(kind) if isinstance(kind, str) else None
        if cls is not None:
            known = _FIELDS[cls]
            typed = {name: value for name, value in members.items() if value is not None and name in known}
            extra = {name: value for name, value in members.items() if name not in typed and name != "type"}
            try:
                chunk: _Typed = msgspec.convert(typed, cls)
            except msgspec.ValidationError:
                pass
            else:
                return msgspec.structs.replace(chunk, extra=Extra(extra)) if extra else chunk
        return OpenResponse(members)

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event, ``type`` first, as a new dict (the values are not copied)."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        return self.get_dict()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.get_dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_dict())

    if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt member is an error there

        def __getattr__(self, name):
            if not name.startswith("__"):
                try:
                    return self.get_dict()[name]
                except KeyError:
                    pass
            raise AttributeError(f"{type(self).__name__} event has no member {name!r}")

    @property
    def text(self) -> str:
        """The text a reader should see; ``""`` for events that are not content."""
        return ""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shorten(value)}" for name, value in self.get_dict().items() if name != "type")
        return f"{type(self).__name__}({shown})"


def _shorten(value: object) -> str:
    """Show a member in a ``repr``: enough to recognise it, never a whole prompt, data URI or upload."""
    if isinstance(value, str):
        if value.startswith("data:"):
            return f"<data URI, {len(value)} characters>"
        return repr(value) if len(value) <= 60 else f"{value[:59] + '…'!r}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(str(name)[:40] for name in list(value)[:8]) + ("…" if len(value) > 8 else "") + "}"
    if isinstance(value, list):
        return f"[{len(value)} items]"
    return repr(value)


class Extra(Mapping[str, Any]):
    """Members of an event that its typed chunk does not declare, and explicit nulls. Read-only.

    A class of its own, because the JSON decoder can then never fill it from a hostile member.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    def __getitem__(self, name: str) -> Any:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extra) and self._members == other._members

    __hash__ = None  # type: ignore[assignment]  # its values may be lists and dicts

    def __repr__(self) -> str:
        return f"<{len(self)} members: {', '.join(list(self)[:8])}>"


class OpenResponse(RawResponse):
    """An event of a type this version does not know: every member kept, none interpreted.

    Args:
        members: The event's members; copied.
    """

    __slots__ = ("_members",)
    _members: dict[str, Any]

    def __init__(self, members: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_members", dict(members))

    if not TYPE_CHECKING:

        @property
        def type(self):
            """The event's type; ``""`` where it has none or it is no string."""
            kind = self._members.get("type")
            return kind if isinstance(kind, str) else ""

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event as a new dict, in the order they came."""
        members: dict[str, Any] = object.__getattribute__(self, "_members")
        return dict(members)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("chunks are immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenResponse) and self._members == other._members

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[OpenResponse], tuple[dict[str, Any]]]:
        return OpenResponse, (self._members,)


class _Typed(
    RawResponse,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,  # members come from JSON, which has no cycles; sparing the collector is measurable
    repr_omit_defaults=True,
):
    """What the known event types share.

    Attributes:
        extra: Members this type does not declare, and explicit nulls; ``None`` where there are none.
    """

    extra: Maybe[Extra] = msgspec.field(name="(extra)", default=None)

    def get_dict(self) -> dict[str, Any]:
        """Return every member of the event, ``type`` first, as a new dict (the values are not copied)."""
        members: dict[str, Any] = {"type": self.type}
        for name, attribute in _FIELDS[type(self)].items():
            value = getattr(self, attribute)
            if value is not None:
                members[name] = value
        members.update(self.extra or {})
        return members

    __repr__ = RawResponse.__repr__
    __str__ = RawResponse.__str__


class Content(_Typed, frozen=True, tag="content"):
    """A piece of the answer's text, or of its media.

    Attributes:
        content: The text; for media, markup that shows it.
        urls: Where generated media lie: one URL or several, relative ones to the server.
        alt: What the media show.
        data: Generated audio as a data URI or URL.
    """

    type: ClassVar[str] = "content"
    content: Maybe[str] = None
    urls: Maybe[str | list[str]] = None
    alt: Maybe[str] = None
    data: Maybe[str] = None

    @property
    def text(self) -> str:
        """The text; ``""`` where the event has none."""
        return self.content or ""


class Reasoning(_Typed, frozen=True, tag="reasoning"):
    """A piece of the model's reasoning, or news of it. Not part of the answer: ``str()`` of it is empty.

    Attributes:
        token: Reasoning text.
        status: What the model is doing, for a status line.
        label: What the status is about.
        is_thinking: A tag that opened or closed the reasoning (``<think>``).
    """

    type: ClassVar[str] = "reasoning"
    token: Maybe[str] = None
    status: Maybe[str] = None
    label: Maybe[str] = None
    is_thinking: Maybe[str] = None


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


class Usage(_Typed, frozen=True, tag="usage"):
    """What the answer used, as the back-end counted it.

    Attributes:
        usage: The counts as reported (``prompt_tokens``, ``completion_tokens``, ``total_tokens``, …).
        model: The model that answered.
        provider: The provider that answered.
    """

    type: ClassVar[str] = "usage"
    usage: Maybe[dict[str, Any]] = None
    model: Maybe[str] = None
    provider: Maybe[str] = None

    @property
    def input_tokens(self) -> int | None:
        """Tokens of the request; ``None`` where not reported."""
        return _count(self.usage or {}, "prompt_tokens", "input_tokens", "promptTokens", "promptTokenCount")

    @property
    def output_tokens(self) -> int | None:
        """Tokens of the answer; ``None`` where not reported."""
        names = ("completion_tokens", "output_tokens", "completionTokens", "candidatesTokenCount")
        return _count(self.usage or {}, *names)

    @property
    def total_tokens(self) -> int | None:
        """Tokens of both as reported; ``None`` where not reported (never computed here)."""
        return _count(self.usage or {}, "total_tokens", "totalTokens", "totalTokenCount")


class Finish(_Typed, frozen=True, tag="finish"):
    """The back-end's word for done.

    Attributes:
        finish: ``{"reason": "stop"}``, or only the reason from some servers.
    """

    type: ClassVar[str] = "finish"
    finish: Maybe[dict[str, Any] | str] = None

    @property
    def reason(self) -> str | None:
        """Why the answer ended, in the back-end's word (``stop``, ``length``, ``tool_calls``, …)."""
        reason = self.finish.get("reason") if isinstance(self.finish, dict) else self.finish
        return reason if isinstance(reason, str) else None


class ProviderInfo(_Typed, frozen=True, tag="provider"):
    """Who answers. First event of a stream, and again when the server picks another provider.

    Attributes:
        provider: ``name``, ``url``, ``label`` and ``model`` of the provider.
    """

    type: ClassVar[str] = "provider"
    provider: Maybe[dict[str, Any]] = None


class Parameters(_Typed, frozen=True, tag="parameters"):
    """The parameters the provider knows, with defaults or examples."""

    type: ClassVar[str] = "parameters"
    parameters: Maybe[dict[str, Any]] = None


class Conversation(_Typed, frozen=True, tag="conversation"):
    """State of the conversation, to be sent back with its next turn; opaque, by provider name."""

    type: ClassVar[str] = "conversation"
    conversation: Maybe[dict[str, Any]] = None


class Preview(_Typed, frozen=True, tag="preview"):
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


class Title(_Typed, frozen=True, tag="title"):
    """A title for the conversation."""

    type: ClassVar[str] = "title"
    title: Maybe[str] = None


class Suggestions(_Typed, frozen=True, tag="suggestions"):
    """What the user might ask next."""

    type: ClassVar[str] = "suggestions"
    suggestions: Maybe[list[str]] = None


class Synthesize(_Typed, frozen=True, tag="synthesize"):
    """What to send to the server's speech synthesis: ``{"provider": …, "data": {…}}``."""

    type: ClassVar[str] = "synthesize"
    synthesize: Maybe[dict[str, Any]] = None


class ToolCalls(_Typed, frozen=True, tag="tool_calls"):
    """Whole tool calls, in the shape of OpenAI's chat completions."""

    type: ClassVar[str] = "tool_calls"
    tool_calls: Maybe[list[dict[str, Any]]] = None


class Variant(_Typed, frozen=True, tag="variant"):
    """Another version of the answer."""

    type: ClassVar[str] = "variant"
    variant: Maybe[str] = None


class Continue(_Typed, frozen=True, tag="continue"):
    """What to send to have a cut answer continued."""

    type: ClassVar[str] = "continue"
    continue_: Maybe[str] = msgspec.field(name="continue", default=None)


class UpstreamRequest(_Typed, frozen=True, tag="request"):
    """The JSON the server sent to its own back-end."""

    type: ClassVar[str] = "request"
    request: Maybe[dict[str, Any]] = None


class UpstreamResponse(_Typed, frozen=True, tag="response"):
    """What the server's own back-end answered: an object, or plain text."""

    type: ClassVar[str] = "response"
    response: Maybe[dict[str, Any] | str] = None


class UpstreamHeaders(_Typed, frozen=True, tag="headers"):
    """The header fields of the server's own back-end."""

    type: ClassVar[str] = "headers"
    headers: Maybe[dict[str, Any]] = None


class Log(_Typed, frozen=True, tag="log"):
    """A debug line of the server."""

    type: ClassVar[str] = "log"
    log: Maybe[str] = None


class Notice(_Typed, frozen=True, tag="message"):
    """A problem that did not end the answer.

    Attributes:
        message: ``"Type: text"``.
        error: The class name of the problem.
    """

    type: ClassVar[str] = "message"
    message: Maybe[str] = None
    error: Maybe[str] = None


class ErrorEvent(_Typed, frozen=True, tag="error"):
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


class AuthEvent(_Typed, frozen=True, tag="auth"):
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


class Login(_Typed, frozen=True, tag="login"):
    """Where to log in (servers up to 0.4)."""

    type: ClassVar[str] = "login"
    login: Maybe[str] = None


_TYPES: tuple[type[_Typed], ...] = tuple(_Typed.__subclasses__())

KNOWN_TYPES: Mapping[str, type[_Typed]] = {cls.type: cls for cls in _TYPES}
"""The typed chunk of each known event type."""

_FIELDS: Mapping[type, Mapping[str, str]] = {
    cls: {
        member: attribute
        for member, attribute in zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
        if attribute != "extra"
    }
    for cls in _TYPES
}
"""Of each typed chunk: member on the wire → attribute."""
