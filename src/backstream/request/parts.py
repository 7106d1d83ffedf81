"""A turn of a conversation and its parts, as values that every dialect renders and parses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import msgspec

if TYPE_CHECKING:
    from backstream.media.item import MediaItem
else:
    MediaItem = Any  # opened media are made by this program only, never decoded from a text

__all__ = [
    "MediaKind",
    "MediaPart",
    "OpaquePart",
    "Part",
    "ReasoningPart",
    "RefusalPart",
    "Role",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "Turn",
]

Opaque: TypeAlias = Mapping[str, Mapping[str, Any]]
"""``{dialect: members}``: what that dialect's back-end wants back with a part or turn (signatures, encrypted reasoning,
item ids, marks of its own). A dialect lays its members over what it renders; no other dialect looks at them."""

MediaKind = Literal["image", "audio", "video", "document"]
Role = Literal["system", "developer", "user", "assistant", "tool"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, repr_omit_defaults=True):
    """What every part has.

    Attributes:
        opaque: See :data:`Opaque`.
        cache_control: A mark for back-ends that cache up to a part: ``{"type": "ephemeral"}``.
    """

    opaque: Opaque = {}
    cache_control: Mapping[str, Any] | None = None


class TextPart(_Part, frozen=True, tag="text"):
    """Text.

    Attributes:
        text: The text.
    """

    text: str


class MediaPart(_Part, frozen=True, tag="media"):
    """An image, a sound, a video or a document; exactly one of ``data``, ``item``, ``url`` and ``file_id`` is set.

    Attributes:
        kind: What it is.
        media_type: Its type, e.g. ``image/png``; ``""`` where unknown (a URL).
        data: Its bytes in base64.
        item: Its bytes, read while they are sent.
        url: An http(s) URL for the back-end to fetch, or one in the back-end's own scheme (``gs://``).
        file_id: The back-end's own id of a file uploaded before.
        filename: Its file name.
        detail: How closely to look at an image: ``low``, ``high``, ``auto``.
        transcript: What the sound says, where a model spoke it.
    """

    kind: MediaKind
    media_type: str = ""
    data: str | None = None
    item: MediaItem | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    transcript: str | None = None

    def __repr__(self) -> str:
        source = next((name for name in ("data", "item", "url", "file_id") if getattr(self, name) is not None), "empty")
        return f"<MediaPart {self.kind} {self.media_type or 'untyped'} by {source}>"


class ReasoningPart(_Part, frozen=True, tag="reasoning"):
    """What a model thought before it answered.

    Attributes:
        text: The text it showed; ``""`` where it is hidden and only ``opaque`` holds it.
    """

    text: str = ""


class ToolCallPart(_Part, frozen=True, tag="tool_call"):
    """A call of a tool.

    Attributes:
        id: The call's id; ``""`` where the back-end has none.
        name: The tool's name.
        arguments: The arguments, as the JSON text the model wrote; it may be no valid JSON.
    """

    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolResultPart(_Part, frozen=True, tag="tool_result"):
    """What a tool gave.

    Attributes:
        tool_call_id: The id of the call it answers.
        name: The tool's name; some back-ends know calls by name only.
        content: Text and media, in order.
        is_error: Whether the tool failed.
    """

    tool_call_id: str = ""
    name: str = ""
    content: tuple[TextPart | MediaPart, ...] = ()
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text of its content, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class RefusalPart(_Part, frozen=True, tag="refusal"):
    """A model's own refusal.

    Attributes:
        text: Its words.
    """

    text: str


class OpaquePart(_Part, frozen=True, tag="opaque"):
    """A part that only its own dialect can read (a search the back-end ran, say): whole in ``opaque``."""


Part: TypeAlias = Union[TextPart, MediaPart, ReasoningPart, ToolCallPart, ToolResultPart, RefusalPart, OpaquePart]  # noqa: UP007


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        parts: What is said, in order.
        name: The speaker's name, where several share a role.
        opaque: See :data:`Opaque`.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    opaque: Opaque = {}

    @property
    def text(self) -> str:
        """The text of its parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))
