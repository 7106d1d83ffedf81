"""Turns of a conversation as Gemini's contents: roles, parts, media, calls and their results.

Source: https://ai.google.dev/api/caching#Content; https://ai.google.dev/gemini-api/docs/function-calling
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.gemini.quirks import NAME, Quirks, overlay
from backstream.errors import DecodeError, InvalidRequestError, UnsupportedFeatureError
from backstream.media import media_type_of
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    Receipts,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.parts import Role
from backstream.wire.json_body import json_base64
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["RESOLUTIONS", "call_arguments", "media_members", "render_contents"]

RESOLUTIONS: Final[Mapping[str, str]] = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
"""How closely to look at an image → Gemini's word."""

_SYSTEM: Final = ("system", "developer")


def render_contents(turns: Sequence[Turn], receipts: Receipts, quirks: Quirks) -> dict[str, Any]:
    """Render turns as the members ``contents`` and ``systemInstruction``.

    Raises:
        UnsupportedFeatureError: Media in a system turn.
        InvalidRequestError: A tool's result that names no tool and answers no call.
    """
    renderer = _Renderer(receipts, quirks)
    leading = next((index for index, turn in enumerate(turns) if turn.role not in _SYSTEM), None)
    if leading is None:  # nothing but instructions: Google demands contents
        leading = 0
    instructions: list[dict[str, Any]] = []
    opaque: dict[str, Any] = {}
    for index, turn in enumerate(turns[:leading]):
        instructions += renderer.system(turn, f"messages[{index}]")
        opaque |= renderer.opaque_of(turn.opaque, f"messages[{index}]")
    for index, turn in enumerate(turns[leading:], leading):
        renderer.turn(turn, f"messages[{index}]")
    members: dict[str, Any] = {"contents": renderer.contents}
    if instructions or opaque:
        members["systemInstruction"] = overlay({"parts": instructions}, opaque)
    return members


class _Renderer:
    """Render turn by turn; remembers which call had which name."""

    def __init__(self, receipts: Receipts, quirks: Quirks) -> None:
        self.contents: list[dict[str, Any]] = []
        self._receipts = receipts
        self._quirks = quirks
        self._names: dict[str, str] = {}
        self._last_role = ""
        self._role_now: Role = "user"

    def opaque_of(
        self, opaque: Mapping[str, Mapping[str, Any]], where: str, *, harmless: bool = True
    ) -> dict[str, Any]:
        """Return our own members; note that those of other dialects stay behind."""
        for name in opaque:
            if name not in ("", NAME):
                self._receipts.dropped(f"{where}.opaque.{name}", "another back-end's own", harmless=harmless)
        return dict(opaque.get(NAME, {}))

    def system(self, turn: Turn, where: str) -> list[dict[str, Any]]:
        self._note_name(turn, where)
        self._role_now = turn.role
        parts = []
        for index, part in enumerate(turn.parts):
            if not isinstance(part, TextPart | OpaquePart):
                raise UnsupportedFeatureError(
                    f"{where}: gemini takes only text in a system message", "move the rest to a message of the user"
                )
            parts += self._part(part, f"{where}.content[{index}]")
        return parts

    def _note_name(self, turn: Turn, where: str) -> None:
        if turn.name is not None:
            self._receipts.dropped(f"{where}.name", "gemini knows no names of speakers")

    def turn(self, turn: Turn, where: str) -> None:
        self._note_name(turn, where)
        self._role_now = turn.role
        if turn.role in _SYSTEM:
            self._receipts.approximated(f"{where}.role", "user", "gemini takes system messages only at the beginning")
        role = "model" if turn.role == "assistant" else "user"
        parts: list[dict[str, Any]] = []
        for index, part in enumerate(turn.parts):
            parts += self._part(part, f"{where}.content[{index}]")
        opaque = self.opaque_of(turn.opaque, where)
        if not parts and not opaque:
            return
        if turn.role == "tool" and self._last_role == "tool" and not opaque:
            self.contents[-1]["parts"] += parts  # the results of parallel calls stand in one content
        else:
            self.contents.append(overlay({"role": role, "parts": parts}, opaque))
        self._last_role = turn.role

    def _part(self, part: Part, where: str) -> list[dict[str, Any]]:
        if part.cache_control is not None:
            self._receipts.dropped(
                f"{where}.cache_control", "gemini caches by itself, or by cachedContent", harmless=True
            )
        if isinstance(part, OpaquePart):
            own = part.opaque.get("") or part.opaque.get(NAME)
            if not own and self._role_now != "assistant":
                raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")
            self.opaque_of(part.opaque, where)
            return [dict(own)] if own else []
        rendered = self._plain(part, where)
        # what a model said beside its words only its own back-end wants; what a user said was meant
        opaque = self.opaque_of(part.opaque, where, harmless=self._role_now in ("assistant", "tool"))
        return [overlay(rendered[0], opaque), *rendered[1:]] if rendered else [opaque] if opaque else []

    def _plain(self, part: Part, where: str) -> list[dict[str, Any]]:
        if isinstance(part, TextPart):
            return [{"text": part.text}]
        if isinstance(part, MediaPart):
            return [self._media(part, where)]
        if isinstance(part, ToolCallPart):
            return [self._call(part, where)]
        if isinstance(part, ToolResultPart):
            return self._result(part, where)
        if isinstance(part, ReasoningPart):
            return [{"text": part.text, "thought": True}] if part.text else []
        assert isinstance(part, RefusalPart)
        self._receipts.approximated(f"{where}.refusal", "text", "gemini knows no refusals by the model")
        return [{"text": part.text}]

    def _media(self, part: MediaPart, where: str) -> dict[str, Any]:
        for name in ("filename", "transcript"):
            if getattr(part, name) is not None:
                self._receipts.dropped(f"{where}.{name}", f"gemini takes media without a {name}", harmless=True)
        members = media_members(part, self._quirks)
        resolution = RESOLUTIONS.get(part.detail or "")
        if resolution is not None and self._quirks.media_resolution:
            self._receipts.renamed(f"{where}.detail", "mediaResolution")
            members["mediaResolution"] = {"level": resolution}
        elif part.detail is not None:
            self._receipts.dropped(
                f"{where}.detail", "gemini has no such resolution for a part", harmless=part.detail == "auto"
            )
        return members

    def _call(self, part: ToolCallPart, where: str) -> dict[str, Any]:
        if part.id:
            self._names[part.id] = part.name
        arguments, exact = call_arguments(part.arguments)
        if not exact:
            self._receipts.approximated(f"{where}.arguments", "args.arguments", "gemini takes only a JSON object")
        return {"functionCall": {**({"id": part.id} if part.id else {}), "name": part.name, "args": arguments}}

    def _result(self, part: ToolResultPart, where: str) -> list[dict[str, Any]]:
        name = self._names.get(part.tool_call_id, part.name)  # the call knows: some clients send its id as the name
        if not name:
            raise InvalidRequestError(
                f"{where}: a tool result names no tool, and no earlier call has its id", "give the tool's name"
            )
        members: dict[str, Any] = {"id": part.tool_call_id} if part.tool_call_id else {}
        members |= {"name": name, "response": _response(part)}
        inside: list[dict[str, Any]] = []
        after: list[dict[str, Any]] = []
        for index, media in enumerate(part.content):
            if isinstance(media, MediaPart):
                rendered = self._media(media, f"{where}.content[{index}]")
                own = self.opaque_of(media.opaque, f"{where}.content[{index}]")
                whole = self._quirks.media_in_results and "inlineData" in rendered
                (inside if whole else after).append(overlay(rendered, own))
        if after:
            self._receipts.approximated(f"{where}.content", "parts", "the media follow the result")
        if inside:
            members["parts"] = inside
        return [{"functionResponse": members}, *after]


def media_members(part: MediaPart, quirks: Quirks) -> dict[str, Any]:
    """Render where media are as a part: inline, or by URI.

    Raises:
        InvalidRequestError: They are nowhere, or inline without a type.
    """
    uri = part.url
    if part.file_id is not None:
        uri = quirks.files_url + part.file_id if part.file_id.startswith("files/") else part.file_id
    if uri is not None:
        media_type = part.media_type or media_type_of(uri.partition("?")[0].rpartition("/")[2]) or ""
        return {"fileData": {**({"mimeType": media_type} if media_type else {}), "fileUri": uri}}
    media_type = part.media_type or (part.item.media_type if part.item is not None else "")
    if not media_type:
        raise InvalidRequestError("gemini takes media only with their type", "give the media type, e.g. image/png")
    data: Any = json_base64(part.item) if part.item is not None else part.data
    if data is None:
        raise InvalidRequestError("a media part has neither data nor a place", "give data, a URL or a file id")
    return {"inlineData": {"mimeType": media_type, "data": data}}


def call_arguments(text: str) -> tuple[dict[str, Any], bool]:
    """Return a call's arguments as an object, and whether they were one; other text becomes a member of one."""
    if not text.strip():
        return {}, True
    try:
        arguments = decode_json(text)
    except DecodeError:
        arguments = text
    return (arguments, True) if isinstance(arguments, dict) else ({"arguments": arguments}, False)


def _response(part: ToolResultPart) -> dict[str, Any]:
    """Render what a tool gave: an object as it is where no byte of its text is lost, else text under ``output``."""
    texts = [piece for piece in part.content if isinstance(piece, TextPart)]
    if part.is_error:
        return {"error": part.text}
    if not texts:
        return {}
    try:
        value = decode_json(part.text)
    except DecodeError:
        value = None
    ours = isinstance(value, dict) and len(value) == 1 and set(value) <= {"output", "error"}
    if isinstance(value, dict) and value and not ours and encode_json(value).decode() == part.text:
        return value
    return {"output": part.text}
