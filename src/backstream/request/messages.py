"""The seed's messages, dicts in the shape of OpenAI's chat completions, to typed turns and back.

A message that a reply gave for the next turn may hold ``parts``: its typed parts as JSON, because the shape of the
dicts has no place for signatures and the like, and beside it ``opaque``, that of the turn. Where they are, they win.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import msgspec

from backstream.errors import CallerError, InvalidRequestError
from backstream.media import MediaItem, decode_data_uri, is_data_uri
from backstream.media.names import media_type_of
from backstream.messages import Messages, check_messages
from backstream.request.parts import (
    MediaKind,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)

__all__ = ["kind_of", "media_from_url", "parse_content", "parse_messages", "render_messages"]

DIALECT: Final = "openai_chat"
_ROLES: Final = get_args(Role)
_KNOWN: Final = frozenset(
    [
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "refusal",
        "reasoning_content",
        "reasoning",
        "parts",
        "function_call",
    ]
)
_KNOWN_OF_TOOL: Final = _KNOWN | {"is_error"}
_TEXTS: Final = frozenset(["text", "media_type", "data", "url", "file_id", "filename", "detail"])
_MEMBERS: Final = {"input_text": "text", "output_text": "text"}  # type of a part → its member, where another word
_OPAQUE: Final = "opaque"  # a member of ours only beside ``parts``


def kind_of(media_type: str) -> MediaKind:
    """Return what kind of media a type is; whatever is no image, sound or video is a document."""
    main = media_type.partition("/")[0]
    return cast("MediaKind", main) if main in ("image", "audio", "video") else "document"


def media_from_url(url: str | MediaItem, kind: MediaKind | None = None, **members: Any) -> MediaPart:
    """Make a part of a URL; a ``data:`` URI is taken apart.

    Args:
        url: An http(s) URL, a ``data:`` URI, or the item that a server kept its bytes in.
        kind: What it is; ``None`` where its type shall tell.
        **members: Further members of the part.

    Raises:
        InvalidMediaError: A ``data:`` URI that is none.
    """
    if isinstance(url, MediaItem):
        members["media_type"] = url.media_type
        return MediaPart(kind=kind or kind_of(url.media_type), item=url, **members)
    if not is_data_uri(url):
        return MediaPart(kind=kind or kind_of(members.get("media_type", "")), url=url, **members)
    head, comma, data = url.partition(",")
    if comma and head.endswith(";base64") and data and data.isascii() and not data.isspace() and "%" not in data:
        media_type = head[5:-7].partition(";")[0].lower()
    else:
        decoded = decode_data_uri(url)
        media_type, data = decoded.media_type.partition(";")[0], _base64(decoded.data)
    members.pop("media_type", None)
    return MediaPart(kind=kind or kind_of(media_type), media_type=media_type, data=data, **members)


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode("ascii")


def parse_messages(messages: Messages) -> tuple[Turn, ...]:
    """Read the seed's messages.

    Raises:
        InvalidRequestError: A message or a part of it has another shape; the text says which.
        InvalidMediaError: A ``data:`` URI in it cannot be read.
    """
    check_messages(messages)
    return tuple(_parse_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _parse_message(message: Mapping[str, Any], where: str) -> Turn:
    role = message["role"]
    if role == "function":  # the older name of a tool's answer
        role = "tool"
    if role not in _ROLES:
        raise InvalidRequestError(f"{where} has role {role[:40]!r}", "use " + ", ".join(_ROLES))
    name = message.get("name")
    if not isinstance(name, str | None):
        raise InvalidRequestError(f"{where} has a name that is a {type(name).__name__}", "use text")
    known = _KNOWN_OF_TOOL if role == "tool" else _KNOWN
    rest = {key: value for key, value in message.items() if key not in known and value is not None}
    if message.get("parts") is not None:
        opaque = rest.pop(_OPAQUE, None) or ({DIALECT: rest} if rest else {})
        return _convert_turn({"role": role, "parts": message["parts"], "name": name, "opaque": opaque}, where)
    opaque = {DIALECT: rest} if rest else {}
    if role == "tool":
        return Turn(role=role, parts=(_parse_tool_result(message, where),), opaque=opaque)
    parts: list[Part] = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str):
        parts.append(ReasoningPart(text=reasoning))
    parts += parse_content(message.get("content"), where)
    if message.get("refusal"):
        parts.append(RefusalPart(text=str(message["refusal"])))
    parts += _parse_calls(message, where)
    return Turn(role=role, parts=tuple(parts), name=name, opaque=opaque)


def _convert_turn(members: Mapping[str, Any], where: str) -> Turn:
    try:
        return msgspec.convert(members, Turn)
    except msgspec.ValidationError as error:
        problem = str(error).splitlines()[0]
    raise InvalidRequestError(f"{where}.parts: {problem}", "pass the message of a reply as it came, or leave parts out")


def _parse_tool_result(message: Mapping[str, Any], where: str) -> ToolResultPart:
    content = parse_content(message.get("content"), where)
    kept = tuple(part for part in content if isinstance(part, TextPart | MediaPart))
    if len(kept) != len(content):
        raise InvalidRequestError(f"{where} answers a tool call with something other than text and media")
    return ToolResultPart(
        tool_call_id=str(message.get("tool_call_id") or ""),
        name=str(message.get("name") or ""),
        content=kept,
        is_error=message.get("is_error") is True,
    )


def _parse_calls(message: Mapping[str, Any], where: str) -> Iterable[ToolCallPart]:
    calls: Any = message.get("tool_calls") or ()
    if isinstance(calls, str | Mapping) or not isinstance(calls, Sequence):
        raise InvalidRequestError(f"{where}.tool_calls is a {type(calls).__name__}", "use a list")
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InvalidRequestError(f"{where}.tool_calls[{index}] names no function")
        rest = {key: value for key, value in call.items() if key not in ("id", "type", "function", "index")}
        yield ToolCallPart(
            id=str(call.get("id") or ""),
            name=function["name"],
            arguments=_arguments(function.get("arguments")),
            opaque={DIALECT: rest} if rest else {},
        )
    function = message.get("function_call")
    if isinstance(function, Mapping):  # one call, before there were several
        yield ToolCallPart(name=str(function.get("name") or ""), arguments=_arguments(function.get("arguments")))


def _arguments(arguments: object) -> str:
    """Some callers pass the arguments as an object."""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()


def parse_content(content: object, where: str) -> list[Part]:
    """Read a message's content.

    Args:
        content: Text, a list of parts, or ``None``.
        where: The message's place, for errors.

    Raises:
        InvalidRequestError: A part is no object.
        InvalidMediaError: A ``data:`` URI in it cannot be read.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [TextPart(text=content)] if content else []
    parts: list[Part] = []
    for index, part in enumerate(cast("Sequence[object]", content)):
        if isinstance(part, str):
            parts.append(TextPart(text=part))
            continue
        if not isinstance(part, Mapping):
            raise InvalidRequestError(f"{where}.content[{index}] is a {type(part).__name__}", "use an object")
        parts.append(_parse_part(part, f"{where}.content[{index}]"))
    return parts


def _parse_part(part: Mapping[str, Any], where: str) -> Part:
    parse = _PARSERS.get(str(part.get("type")))
    if parse is None:
        return OpaquePart(opaque={DIALECT: part})
    try:
        parsed = parse(part)
        texts = [getattr(parsed, name) for name in parsed.__struct_fields__ if name in _TEXTS]
        if not all(isinstance(text, str | None) for text in texts):
            raise TypeError
    except (AttributeError, TypeError, KeyError):
        raise InvalidRequestError(f"{where} of type {part['type']!r} lacks its members") from None
    mark = part.get("cache_control")
    known = ("type", "cache_control", _MEMBERS.get(part["type"], part["type"]))
    rest = {name: value for name, value in part.items() if name not in known and value is not None}
    changes: dict[str, Any] = {"opaque": {DIALECT: rest}} if rest else {}
    if isinstance(mark, Mapping):
        changes["cache_control"] = mark
    return msgspec.structs.replace(parsed, **changes) if changes else parsed


def _parse_url(member: str, kind: MediaKind) -> Callable[[Mapping[str, Any]], Part]:
    def parse(part: Mapping[str, Any]) -> Part:
        inner = part[member]
        if isinstance(inner, str | MediaItem):
            return media_from_url(inner, kind)
        detail = inner.get("detail")
        return media_from_url(inner["url"], kind, **({"detail": detail} if detail else {}))

    return parse


def _parse_audio(part: Mapping[str, Any]) -> Part:
    audio = part["input_audio"]
    name = str(audio["format"])
    media_type = media_type_of(f"a.{name}") or f"audio/{name}"
    if isinstance(audio["data"], MediaItem):
        return MediaPart(kind="audio", media_type=audio["data"].media_type or media_type, item=audio["data"])
    if is_data_uri(audio["data"]):
        return media_from_url(audio["data"], "audio")
    return MediaPart(kind="audio", media_type=media_type, data=audio["data"])


def _parse_file(part: Mapping[str, Any]) -> Part:
    file = part["file"]
    name = file.get("filename")
    if file.get("file_id"):
        return MediaPart(kind="document", file_id=file["file_id"], filename=name)
    data = file["file_data"]
    if isinstance(data, MediaItem) or is_data_uri(data) or "://" in data[:16]:
        return media_from_url(data, None, filename=name)
    media_type = media_type_of(name or "") or "application/octet-stream"  # bare base64
    return MediaPart(kind=kind_of(media_type), media_type=media_type, data=data, filename=name)


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), lambda part: TextPart(text=part["text"] + "")),
    "refusal": lambda part: RefusalPart(text=part["refusal"] + ""),
    "image_url": _parse_url("image_url", "image"),
    "video_url": _parse_url("video_url", "video"),
    "audio_url": _parse_url("audio_url", "audio"),
    "input_audio": _parse_audio,
    "file": _parse_file,
}


def render_messages(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Write turns as the seed's messages; ``parse_messages`` of them gives the same turns.

    The one difference: of a tool turn with several results each becomes a turn of its own.

    Raises:
        InvalidRequestError: A turn holds media that are still to be read.
    """
    return [message for turn in turns for message in _render_turn(turn)]


def _render_turn(turn: Turn) -> Iterable[dict[str, Any]]:
    results = [part for part in turn.parts if isinstance(part, ToolResultPart)]
    if turn.role == "tool" and len(results) == len(turn.parts) > 1:
        for part in turn.parts:
            yield from _render_turn(msgspec.structs.replace(turn, parts=(part,)))
        return
    message = _render_plain(turn, results)
    if _is_said(message, turn):
        yield message
        return
    _refuse_unread(turn)
    message |= {"name": turn.name, "parts": msgspec.to_builtins(turn.parts)}  # the name of a result is the tool's
    if turn.opaque:
        message[_OPAQUE] = msgspec.to_builtins(turn.opaque)
    yield message if turn.name is not None else {name: value for name, value in message.items() if name != "name"}


def _is_said(message: Mapping[str, Any], turn: Turn) -> bool:
    try:
        return _parse_message(message, "") == turn
    except CallerError:
        return False


def _refuse_unread(turn: Turn) -> None:
    inner = [part for result in turn.parts if isinstance(result, ToolResultPart) for part in result.content]
    if any(isinstance(part, MediaPart) and part.item is not None for part in (*turn.parts, *inner)):
        raise InvalidRequestError("media still to be read cannot be written as a message", "pass them as media")


def _render_plain(turn: Turn, results: Sequence[ToolResultPart]) -> dict[str, Any]:
    shown = [_render_content(part) for part in turn.parts if isinstance(part, TextPart | MediaPart)]
    has_media = any(part["type"] != "text" for part in shown)
    message: dict[str, Any] = {"role": turn.role, "content": shown if has_media else turn.text or None}
    if turn.name is not None:
        message["name"] = turn.name
    if len(results) == len(turn.parts) == 1 and turn.role == "tool":
        message |= {"tool_call_id": results[0].tool_call_id, "content": results[0].text}
        if results[0].name:
            message["name"] = results[0].name
        if results[0].is_error:
            message["is_error"] = True
    reasoning = "".join(part.text for part in turn.parts if isinstance(part, ReasoningPart))
    refusal = "".join(part.text for part in turn.parts if isinstance(part, RefusalPart))
    calls = [_render_call(part) for part in turn.parts if isinstance(part, ToolCallPart)]
    further = {"reasoning_content": reasoning, "refusal": refusal, "tool_calls": calls}
    message |= {name: value for name, value in further.items() if value}
    rest = turn.opaque.get(DIALECT, {})
    return message | {name: value for name, value in rest.items() if name not in _KNOWN and name != _OPAQUE}


def _render_content(part: TextPart | MediaPart) -> dict[str, Any]:
    """Write text or media; what has no form here is empty text, which nobody mistakes for the part."""
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    uri = f"data:{part.media_type};base64,{part.data}" if part.data is not None else part.url
    if part.kind == "image" and uri is not None:
        detail = {"detail": part.detail} if part.detail is not None else {}
        return {"type": "image_url", "image_url": {"url": uri, **detail}}
    if part.kind == "video" and uri is not None:
        return {"type": "video_url", "video_url": {"url": uri}}
    if part.kind == "audio" and part.data is not None:
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.media_type[6:]}}
    if part.kind == "document" and (part.data is not None or part.file_id is not None):
        named = {"filename": part.filename} if part.filename is not None else {}
        held = {"file_data": uri} if part.data is not None else {"file_id": part.file_id}
        return {"type": "file", "file": {**held, **named}}
    return {"type": "text", "text": ""}


def _render_call(call: ToolCallPart) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **call.opaque.get(DIALECT, {})}
