"""The ``input`` of a client's request as turns.

Items that follow each other and are the model's (its messages, calls, reasoning, tools the back-end ran) are one turn;
every other item is a turn of its own.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input; OpenAI's OpenAPI
description 2.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.openai_responses.members import ITEM, NAME, text_of, without
from backstream.dialects.openai_responses.thoughts import read_thought
from backstream.errors import InvalidRequestError
from backstream.media.item import MediaItem
from backstream.request import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.messages import media_from_url

__all__ = ["parse_input"]

Members = Mapping[str, Any]

_MARK: Final = {"type": "ephemeral"}


def parse_input(given: object) -> list[Turn]:
    """Read the input: a text, or a list of items.

    Raises:
        InvalidRequestError: Another shape; the text says where.
        InvalidMediaError: A ``data:`` URI in it cannot be read.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [Turn(role="user", parts=(TextPart(text=given),))]
    if not isinstance(given, list):
        raise InvalidRequestError(f"input is a {type(given).__name__}", "use text or a list")
    turns: list[Turn] = []
    answer: list[Part] = []
    for index, item in enumerate(given):
        where = f"input[{index}]"
        if not isinstance(item, Mapping):
            raise InvalidRequestError(f"{where} is a {type(item).__name__}", "use an object")
        parsed = _parse_item(item, where)
        if not isinstance(parsed, Turn):
            answer += parsed
            continue
        if answer:
            turns.append(Turn(role="assistant", parts=tuple(answer)))
            answer = []
        turns.append(parsed)
    if answer:
        turns.append(Turn(role="assistant", parts=tuple(answer)))
    return turns


def _parse_item(item: Members, where: str) -> Turn | list[Part]:
    kind = item.get("type")
    if kind == "message" or (kind is None and "role" in item):
        return _parse_message(item, where)
    if kind == "function_call_output":
        return Turn(role="tool", parts=(_parse_result(item, where),))
    if kind == "function_call":
        return [_parse_call(item, where)]
    if kind == "reasoning":
        return [_parse_reasoning(item)]
    if kind == "image_generation_call" and isinstance(item.get("result"), str):
        form = text_of(item, "output_format") or "png"
        own = without(item, "result")
        return [MediaPart(kind="image", media_type=f"image/{form}", data=item["result"], opaque={NAME: own})]
    if not isinstance(kind, str):
        raise InvalidRequestError(f"{where} has neither a role nor a type")
    whole = OpaquePart(opaque={NAME: dict(item)})
    if kind.endswith(("_output", "_response")):
        return Turn(role="tool", parts=(whole,))
    return [whole]


def _parse_message(item: Members, where: str) -> Turn | list[Part]:
    role = item.get("role")
    if role == "assistant":
        return _parse_answer(item, where)
    if role not in ("user", "system", "developer"):
        raise InvalidRequestError(f"{where} has another role", "use user, assistant, system or developer")
    own = without(item, "type", "role", "content")
    content = item.get("content")
    parts = _parse_content(content, f"{where}.content")
    return Turn(role=role, parts=tuple(parts), opaque={NAME: own} if own else {})


def _parse_answer(item: Members, where: str) -> list[Part]:
    around = without(item, "type", "role", "content")
    content = item.get("content")
    if isinstance(content, str):
        own = {NAME: {ITEM: around}} if around else {}
        return [TextPart(text=content, opaque=own)] if content or own else []
    parts: list[Part] = []
    for piece, place in _pieces(content, f"{where}.content"):
        own = {ITEM: around} if around else {}
        kind = piece.get("type")
        if kind in ("output_text", "input_text", "text"):
            own |= without(piece, "type", "text", "annotations", "logprobs")
            own |= {name: piece[name] for name in ("annotations", "logprobs") if piece.get(name)}
            parts.append(TextPart(text=_need(piece, "text", place), opaque={NAME: own} if own else {}))
        elif kind == "refusal":
            own |= without(piece, "type", "refusal")
            parts.append(RefusalPart(text=_need(piece, "refusal", place), opaque={NAME: own} if own else {}))
        else:
            parts.append(OpaquePart(opaque={NAME: {ITEM: around, **piece}}))
    return parts


def _need(members: Members, name: str, where: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise InvalidRequestError(f"{where}.{name} is a {type(value).__name__}", "use text")
    return value


def _pieces(content: object, where: str) -> list[tuple[Members, str]]:
    if content is None:
        return []
    if not isinstance(content, list):
        raise InvalidRequestError(f"{where} is a {type(content).__name__}", "use text or a list")
    pieces: list[tuple[Members, str]] = []
    for index, piece in enumerate(content):
        if not isinstance(piece, Mapping):
            raise InvalidRequestError(f"{where}[{index}] is a {type(piece).__name__}", "use an object")
        pieces.append((piece, f"{where}[{index}]"))
    return pieces


def _parse_content(content: object, where: str) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(text=content)]
    return [_parse_piece(piece, place) for piece, place in _pieces(content, where)]


def _parse_piece(piece: Members, where: str) -> Part:
    parse = _CONTENT.get(str(piece.get("type")))
    mark = piece.get("prompt_cache_breakpoint")
    own: dict[str, Any] = {"cache_control": _MARK} if mark is not None else {}
    rest = without(piece, "prompt_cache_breakpoint")
    part = parse(rest, where, own) if parse is not None else None
    return part if part is not None else OpaquePart(opaque={NAME: dict(piece)})


def _opaque(piece: Members, *known: str) -> dict[str, Any]:
    rest = {name: value for name, value in piece.items() if name not in known and value is not None}
    return {"opaque": {NAME: rest}} if rest else {}


def _parse_text(piece: Members, where: str, own: dict[str, Any]) -> Part:
    return TextPart(text=_need(piece, "text", where), **_opaque(piece, "type", "text"), **own)


def _parse_image(piece: Members, where: str, own: dict[str, Any]) -> Part | None:
    detail = text_of(piece, "detail")
    own |= {"detail": detail} if detail not in (None, "auto") else {}
    own |= _opaque(piece, "type", "detail", "image_url", "file_id")
    if text_of(piece, "file_id"):
        return MediaPart(kind="image", file_id=piece["file_id"], **own)
    return _parse_url(piece.get("image_url"), f"{where}.image_url", own, kind="image")


def _parse_url(url: object, where: str, own: dict[str, Any], *, kind: Any) -> Part:
    if isinstance(url, MediaItem):
        return MediaPart(kind=kind, media_type=url.media_type, item=url, **own)
    if not isinstance(url, str):
        raise InvalidRequestError(f"{where} is a {type(url).__name__}", "use a URL")
    return media_from_url(url, kind, **own)


def _parse_file(piece: Members, where: str, own: dict[str, Any]) -> Part | None:
    own |= {name: piece[name] for name in ("filename", "detail") if text_of(piece, name)}
    own |= _opaque(piece, "type", "filename", "detail", "file_id", "file_url", "file_data")
    if text_of(piece, "file_id"):
        return MediaPart(kind="document", file_id=piece["file_id"], **own)
    if text_of(piece, "file_url"):
        return MediaPart(kind="document", url=piece["file_url"], **own)
    return _parse_url(piece.get("file_data"), f"{where}.file_data", own, kind="document")


_CONTENT: Final[Mapping[str, Callable[[Members, str, dict[str, Any]], Part | None]]] = {
    "input_text": _parse_text,
    "output_text": _parse_text,
    "text": _parse_text,
    "input_image": _parse_image,
    "input_file": _parse_file,
}


def _parse_call(item: Members, where: str) -> Part:
    own = without(item, "type", "call_id", "name", "arguments")
    return ToolCallPart(
        id=_need(item, "call_id", where),
        name=_need(item, "name", where),
        arguments=_need(item, "arguments", where),
        opaque={NAME: own} if own else {},
    )


def _parse_result(item: Members, where: str) -> ToolResultPart:
    own = without(item, "type", "call_id", "output")
    output = item.get("output")
    content = [] if output in ("", None) else _parse_content(output, f"{where}.output")
    kept = tuple(part for part in content if isinstance(part, TextPart | MediaPart))
    if len(kept) != len(content):
        raise InvalidRequestError(f"{where}.output holds something other than text, images and files")
    return ToolResultPart(tool_call_id=_need(item, "call_id", where), content=kept, opaque={NAME: own} if own else {})


def _parse_reasoning(item: Members) -> Part:
    text, own = read_thought(item)
    return ReasoningPart(text=text, opaque={NAME: own} if own else {})
