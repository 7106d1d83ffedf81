"""Gemini's contents as turns of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

from backstream.dialects.gemini.contents import RESOLUTIONS
from backstream.dialects.gemini.quirks import NAME, Quirks
from backstream.dialects.gemini.shapes import as_list, as_members, as_text, take
from backstream.errors import InvalidRequestError
from backstream.media import media_type_of
from backstream.media.item import MediaItem
from backstream.request import (
    MediaKind,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.messages import kind_of
from backstream.request.parts import Role
from backstream.wire.json_text import encode_json

__all__ = ["parse_contents", "parse_instruction"]

_DETAILS: Final = {word: detail for detail, word in RESOLUTIONS.items()}
_VIDEO_SITES: Final = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")


def parse_instruction(instruction: object, quirks: Quirks) -> list[Turn]:
    """Read ``systemInstruction``: a content, or text as Google's client libraries let it be.

    Raises:
        InvalidRequestError: Another shape.
    """
    if instruction is None:
        return []
    if isinstance(instruction, str):
        return [Turn(role="system", parts=(TextPart(text=instruction),))]
    members = as_members(instruction, "systemInstruction")
    parts = _parse_parts(take(members, "parts"), "systemInstruction", quirks)
    members.pop("role", None)
    opaque = {NAME: members} if members else {}
    return [Turn(role="system", parts=tuple(parts), opaque=opaque)] if parts or opaque else []


def parse_contents(contents: object, quirks: Quirks) -> list[Turn]:
    """Read ``contents``; the results of tools become turns of their own.

    Raises:
        InvalidRequestError: Another shape; the text says where.
    """
    turns: list[Turn] = []
    for index, content in enumerate(as_list(contents, "contents")):
        where = f"contents[{index}]"
        given = {"parts": [{"text": content}]} if isinstance(content, str) else content
        turns += _parse_content(as_members(given, where), where, quirks)
    return turns


def _parse_content(members: dict[str, Any], where: str, quirks: Quirks) -> list[Turn]:
    said = as_text(take(members, "role"), f"{where}.role") or "user"
    if said not in ("user", "model", "function", "system"):
        raise InvalidRequestError(f"{where} has role {said[:40]!r}", "use user or model")
    parts = _parse_parts(take(members, "parts"), where, quirks)
    opaque: dict[str, Any] = {NAME: members} if members else {}
    if said == "model":
        return [Turn(role="assistant", parts=tuple(parts), opaque=opaque)]
    plain: Role = "system" if said == "system" else "user"
    turns: list[Turn] = []
    for of_tool, run in groupby(parts, key=lambda part: isinstance(part, ToolResultPart)):
        turns.append(Turn(role="tool" if of_tool else plain, parts=tuple(run), opaque={} if turns else opaque))
    return turns or [Turn(role=plain, opaque=opaque)]


def _parse_parts(parts: object, where: str, quirks: Quirks) -> list[Part]:
    return [
        _parse_part(as_members(part, f"{where}.parts[{index}]"), f"{where}.parts[{index}]", quirks)
        for index, part in enumerate(as_list(parts, f"{where}.parts"))
    ]


def _parse_part(part: dict[str, Any], where: str, quirks: Quirks) -> Part:
    rest = dict(part)
    parsed: Part | None = None
    if "text" in part and (part["text"] or set(part) <= {"text", "thought"}):
        text = as_text(take(rest, "text"), f"{where}.text")
        thought = take(rest, "thought") is True
        return ReasoningPart(text=text, opaque=_rest(rest)) if thought else TextPart(text=text, opaque=_rest(rest))
    if part.get("thought"):
        return OpaquePart(opaque={NAME: part})
    if "functionCall" in part:
        parsed = _parse_call(take(rest, "functionCall"), rest, f"{where}.functionCall")
    elif "functionResponse" in part:
        parsed = _parse_result(take(rest, "functionResponse"), rest, f"{where}.functionResponse", quirks)
    elif "inlineData" in part or "fileData" in part:
        parsed = _parse_media(rest, where, quirks)
    return parsed if parsed is not None else OpaquePart(opaque={NAME: part})


def _rest(rest: dict[str, Any]) -> dict[str, Any]:
    return {NAME: rest} if rest else {}


def _parse_call(call: object, rest: dict[str, Any], where: str) -> ToolCallPart:
    members = as_members(call, where)
    name = as_text(take(members, "name"), f"{where}.name")
    if not name:
        raise InvalidRequestError(f"{where} names no function")
    answer, arguments = as_text(take(members, "id"), f"{where}.id"), take(members, "args")
    if not isinstance(arguments, Mapping | None):
        raise InvalidRequestError(f"{where}.args is a {type(arguments).__name__}", "use an object")
    if members:
        rest["functionCall"] = members
    text = encode_json(arguments or {}).decode()
    return ToolCallPart(id=answer, name=name, arguments=text, opaque=_rest(rest))


def _parse_result(result: object, rest: dict[str, Any], where: str, quirks: Quirks) -> ToolResultPart:
    members = as_members(result, where)
    response = take(members, "response")
    if not isinstance(response, Mapping | None):
        raise InvalidRequestError(f"{where}.response is a {type(response).__name__}", "use an object")
    content: list[TextPart | MediaPart] = []
    is_error = False
    if response:
        known = next((name for name in ("output", "error") if set(response) == {name}), None)
        plain = known is not None and isinstance(response[known], str)
        content.append(TextPart(text=response[known] if plain else encode_json(response).decode()))
        is_error = known == "error"
    for index, part in enumerate(_parse_parts(take(members, "parts"), where, quirks)):
        if not isinstance(part, MediaPart):
            raise InvalidRequestError(f"{where}.parts[{index}] holds something other than media")
        content.append(part)
    identity = as_text(take(members, "id"), f"{where}.id")
    name = as_text(take(members, "name"), f"{where}.name")
    if members:
        rest["functionResponse"] = members
    return ToolResultPart(
        tool_call_id=identity, name=name, content=tuple(content), is_error=is_error, opaque=_rest(rest)
    )


def _parse_media(rest: dict[str, Any], where: str, quirks: Quirks) -> MediaPart:
    member = "inlineData" if "inlineData" in rest else "fileData"
    members = as_members(take(rest, member), f"{where}.{member}")
    media_type = as_text(take(members, "mimeType"), f"{where}.{member}.mimeType")
    place: dict[str, Any] = {}
    if member == "fileData":
        uri = as_text(take(members, "fileUri"), f"{where}.fileData.fileUri")
        if not uri:
            raise InvalidRequestError(f"{where}.fileData has no fileUri")
        of_file = uri.startswith(quirks.files_url + "files/")
        place = {"file_id": uri.removeprefix(quirks.files_url)} if of_file else {"url": uri}
        kind = _kind_of_place(media_type, uri)
    else:
        data = take(members, "data")
        if isinstance(data, MediaItem):
            place, media_type = {"item": data}, media_type or data.media_type
        else:
            place = {"data": _standard(as_text(data, f"{where}.inlineData.data"))}
        kind = kind_of(media_type)
    if members:
        rest[member] = members
    resolution = rest.get("mediaResolution")
    level = resolution.get("level") if isinstance(resolution, Mapping) and len(resolution) == 1 else None
    detail = _DETAILS.get(level) if isinstance(level, str) else None
    if detail is not None:
        del rest["mediaResolution"]
    return MediaPart(kind=kind, media_type=media_type, detail=detail, opaque=_rest(rest), **place)


def _standard(data: str) -> str:
    """Write base64 with the alphabet of URLs, which Google's own libraries send, as the other vendors take it.

    Source: https://protobuf.dev/programming-guides/json/: servers accept both alphabets, with or without padding.
    """
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data if "\n" in data else data + "=" * (-len(data) % 4)


def _kind_of_place(media_type: str, uri: str) -> MediaKind:
    if not media_type and uri.startswith(_VIDEO_SITES):
        return "video"
    return kind_of(media_type or media_type_of(uri.partition("?")[0].rpartition("/")[2]) or "")
