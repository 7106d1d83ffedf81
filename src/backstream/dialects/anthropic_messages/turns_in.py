"""The ``system`` and ``messages`` of a client's request, read into turns; whatever has no place goes into ``opaque``.

Source: https://platform.claude.com/docs/en/api/messages.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from backstream.dialects.anthropic_messages.vendor import NAME
from backstream.errors import InvalidRequestError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.parts import MediaKind, Role
from backstream.wire.json_text import encode_json

__all__ = ["parse_turns"]

_Block = Mapping[str, Any]
_ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}


def parse_turns(system: object, messages: object) -> tuple[Turn, ...]:
    """Read a conversation.

    Args:
        system: Text, text blocks, or ``None``.
        messages: The messages.

    Raises:
        InvalidRequestError: Another shape; the text says where.
    """
    turns: list[Turn] = []
    if parts := _parse_content(system, "system"):
        turns.append(Turn(role="system", parts=parts))
    if not isinstance(messages, list | tuple):
        raise InvalidRequestError("messages is missing, or no list", "pass a list of messages")
    for index, message in enumerate(messages):
        turns += _parse_message(message, f"messages[{index}]")
    return tuple(turns)


def _parse_message(message: object, where: str) -> Iterable[Turn]:
    if not isinstance(message, Mapping):
        raise InvalidRequestError(f"{where} is a {type(message).__name__}", "use an object")
    given = message.get("role")
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise InvalidRequestError(f"{where}.role is none of {', '.join(_ROLES)}")
    parts = _parse_content(message.get("content"), f"{where}.content")
    opaque = _rest(message, "role", "content")
    for results, group in _runs(parts):
        yield Turn(role="tool" if results and role == "user" else role, parts=tuple(group), opaque=opaque)
        opaque = {}


def _runs(parts: Iterable[Part]) -> Iterable[tuple[bool, list[Part]]]:
    """Split a message where tool results and other parts meet: results are turns of their own here."""
    group: list[Part] = []
    results = False
    for part in parts:
        is_result = isinstance(part, ToolResultPart)
        if group and is_result != results:
            yield results, group
            group = []
        results = is_result
        group.append(part)
    yield results, group


def _parse_content(content: object, where: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(text=content),) if content else ()
    if not isinstance(content, list | tuple):
        raise InvalidRequestError(f"{where} is a {type(content).__name__}", "use text or a list of blocks")
    return tuple(_parse_block(block, f"{where}[{index}]") for index, block in enumerate(content))


def _parse_block(block: object, where: str) -> Part:
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
        raise InvalidRequestError(f"{where} is no object with a type")
    parse = _PARSERS.get(block["type"])
    problem = ""
    try:
        part = parse(block, where) if parse is not None else None
    except (KeyError, TypeError, msgspec.ValidationError):
        problem = f"{where} of type {block['type']!r} lacks its members, or they are of another type"
        part = None
    if problem:
        raise InvalidRequestError(problem)
    if part is None:
        return OpaquePart(opaque={NAME: dict(block)})
    mark = block.get("cache_control")
    return msgspec.structs.replace(part, cache_control=mark) if isinstance(mark, Mapping) else part


def _rest(block: _Block, *known: str) -> dict[str, dict[str, Any]]:
    """Return the members that have no place; an explicit null says nothing."""
    rest = {
        name: value
        for name, value in block.items()
        if name not in known and name not in ("type", "cache_control") and value is not None
    }
    return {NAME: rest} if rest else {}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _parse_text(block: _Block, where: str) -> Part:
    del where
    return TextPart(text=_text(block["text"]), opaque=_rest(block, "text"))


def _parse_media(kind: MediaKind) -> Callable[[_Block, str], Part | None]:
    def parse(block: _Block, where: str) -> Part | None:
        del where
        source = block["source"]
        found = _parse_source(source) if isinstance(source, Mapping) else None
        if found is None:  # a source only this dialect knows: content blocks, say
            return None
        title = block.get("title") if kind == "document" else None
        opaque = _rest(block, "source", *(("title",) if isinstance(title, str) else ()))
        return MediaPart(kind=kind, filename=title if isinstance(title, str) else None, opaque=opaque, **found)

    return parse


def _parse_source(source: _Block) -> dict[str, Any] | None:
    members = {name: value for name, value in source.items() if value is not None}
    kind = members.pop("type", None)
    names = set(members)
    if kind == "url" and names == {"url"}:
        return {"url": _text(members["url"])}
    if kind == "file" and names == {"file_id"}:
        return {"file_id": _text(members["file_id"])}
    if kind not in ("base64", "text") or names != {"media_type", "data"}:
        return None
    media_type, data = _text(members["media_type"]), members["data"]
    if isinstance(data, MediaItem):
        return {"media_type": media_type, "item": data}
    if kind == "text":
        data = b2a_base64(_text(data).encode("utf-8", "replace"), newline=False).decode("ascii")
    return {"media_type": media_type, "data": _text(data)}


def _parse_thinking(block: _Block, where: str) -> Part:
    del where
    return ReasoningPart(text=_text(block.get("thinking", "")), opaque=_rest(block, "thinking"))


def _parse_tool_use(block: _Block, where: str) -> Part:
    del where
    given = block.get("input")
    arguments = encode_json({} if given is None else given).decode()
    opaque = _rest(block, "id", "name", "input")
    return ToolCallPart(id=_text(block["id"]), name=_text(block["name"]), arguments=arguments, opaque=opaque)


def _parse_tool_result(block: _Block, where: str) -> Part:
    content = _parse_content(block.get("content"), f"{where}.content")
    return ToolResultPart(
        tool_call_id=_text(block["tool_use_id"]),
        content=tuple(map(_result_part, content)),
        is_error=block.get("is_error") is True,
        opaque=_rest(block, "tool_use_id", "content", "is_error"),
    )


def _result_part(part: Part) -> TextPart | MediaPart:
    """A result holds text and media; of other blocks the text is shown, and the block goes along whole."""
    if isinstance(part, TextPart | MediaPart):
        return part
    block = part.opaque.get(NAME, {}) if isinstance(part, OpaquePart) else {}
    if not block:
        raise TypeError
    inner = block.get("content")
    pieces = [piece.get("text") for piece in inner if isinstance(piece, Mapping)] if isinstance(inner, list) else []
    text = "\n".join(piece for piece in pieces if isinstance(piece, str))
    return TextPart(text=text or f"[{block['type']}]", opaque=part.opaque)


_PARSERS: Final[Mapping[str, Callable[[_Block, str], Part | None]]] = {
    "text": _parse_text,
    "image": _parse_media("image"),
    "document": _parse_media("document"),
    "thinking": _parse_thinking,
    "tool_use": _parse_tool_use,
    "tool_result": _parse_tool_result,
}
