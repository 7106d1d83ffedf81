"""Parts of turns to content blocks of the Messages API. Knows no turn and no parameter.

Source: https://platform.claude.com/docs/en/api/messages (content blocks),
https://platform.claude.com/docs/en/build-with-claude/vision, …/pdf-support, …/files, …/citations.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, Final

from backstream.dialects.anthropic_messages.text_segment import TextSegment
from backstream.dialects.anthropic_messages.vendor import NAME, own_members
from backstream.errors import DecodeError, InvalidRequestError, UnsupportedFeatureError
from backstream.media.item import MediaItem
from backstream.media.names import is_textual
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
)
from backstream.request.parts import Role
from backstream.wire.json_body import json_base64
from backstream.wire.json_text import decode_json

__all__ = ["PartRenderer"]

_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


class PartRenderer:
    """Renders the parts of one request, in order; remembers the ids of tool calls, and whether a file was named.

    Args:
        receipts: Where to note what became of things.

    Attributes:
        names_files: Whether a part was a file uploaded before.
    """

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._ids: dict[str, str] = {}
        self._taken: set[str] = set()
        self._unnamed: list[str] = []
        self._answered = 0
        self.names_files = False

    def render(self, part: Part, role: Role, where: str) -> dict[str, Any] | None:
        """Render a part.

        Args:
            part: The part.
            role: Whose turn it is in.
            where: Its turn's place, for errors and receipts.

        Returns:
            Its block; ``None`` where there is nothing to say.

        Raises:
            UnsupportedFeatureError: Content that the API has no words for.
            InvalidRequestError: Something that cannot be said as it stands.
        """
        if isinstance(part, OpaquePart):
            return self._opaque(part, role, where)
        # what a model said beside its words only its own back-end wants; what a user said was meant
        harmless = role in ("assistant", "tool")
        own = own_members(part.opaque, where, self._receipts, harmless=harmless)
        block = self._block(part, own, where)
        if block is None:
            return None
        if "type" in own:  # the back-end's own block, whole
            return _ready(own)
        if part.cache_control is not None:
            block["cache_control"] = part.cache_control
        return {**block, **_ready(own)}

    def _block(self, part: Part, own: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, MediaPart):
            return self._media(part, where)
        if isinstance(part, ReasoningPart):
            if own.get("signature") or "type" in own:
                return {"type": "thinking", "thinking": part.text}
            self._receipts.dropped(f"{where}.reasoning", "only signed thinking of its own is taken", harmless=True)
            return None
        if isinstance(part, ToolCallPart):
            call = {"type": "tool_use", "id": self._call_id(part.id, where), "name": part.name}
            return {**call, "input": self._input(part, where)}
        if isinstance(part, ToolResultPart):
            return self._result(part, where)
        assert isinstance(part, RefusalPart)
        self._receipts.approximated(f"{where}.refusal", "text", "a refusal has no block of its own")
        return {"type": "text", "text": part.text} if part.text else None

    # --- tools

    def _call_id(self, given: str, where: str) -> str:
        """Return an id the API takes (letters, digits, ``_`` and ``-``), always the same one for the same call."""
        if given in self._ids:
            return self._ids[given]
        made = _NOT_ID.sub("_", given) or f"unnamed_call_{len(self._unnamed)}"
        while made in self._taken:
            made += "_"
        self._taken.add(made)
        if given:
            self._ids[given] = made
        else:
            self._unnamed.append(made)
        if made != given:
            self._receipts.renamed(f"{where}.tool_call.id", "tool_use.id")
        return made

    def _result_id(self, given: str, where: str) -> str:
        """Without an id, a result answers the oldest call without an id that has no answer yet."""
        if not given and self._answered < len(self._unnamed):
            self._answered += 1
            return self._unnamed[self._answered - 1]
        if not given:
            raise InvalidRequestError(f"{where}: a tool result names no call", "give its tool_call_id")
        return self._call_id(given, where)

    def _input(self, part: ToolCallPart, where: str) -> dict[str, Any]:
        """Return the arguments as the object the API demands; what is no JSON object is wrapped into one.

        Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming ("Handling
        invalid JSON in tool responses").
        """
        try:
            decoded = decode_json(part.arguments) if part.arguments.strip() else {}
        except DecodeError:
            decoded = None
        if isinstance(decoded, dict):
            return decoded
        self._receipts.approximated(f"{where}.tool_call.arguments", "INVALID_JSON", "the arguments are no JSON object")
        return {"INVALID_JSON": part.arguments}

    def _result(self, part: ToolResultPart, where: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._result_id(part.tool_call_id, where)}
        content = [self.render(inner, "tool", where) for inner in part.content]
        if said := [inner for inner in content if inner is not None]:
            block["content"] = said
        if part.is_error:
            block["is_error"] = True
        if part.name:
            self._receipts.dropped(f"{where}.tool_result.name", "the call's id says it", harmless=True)
        return block

    # --- media

    def _media(self, part: MediaPart, where: str) -> dict[str, Any]:
        if part.kind not in ("image", "document"):
            raise UnsupportedFeatureError(
                f"{where}: {NAME} takes no {part.kind}", "send its text, or ask another model"
            )
        block: dict[str, Any] = {"type": part.kind, "source": self._source(part, where)}
        if part.detail is not None:
            why = "images are always looked at in the same way"
            self._receipts.dropped(f"{where}.detail", why, harmless=part.detail == "auto")
        if part.filename is not None and part.kind == "document":
            block["title"] = part.filename
        elif part.filename is not None:
            self._receipts.dropped(f"{where}.filename", "images have no name", harmless=True)
        return block

    def _source(self, part: MediaPart, where: str) -> dict[str, Any]:
        if part.file_id is not None:
            self.names_files = True
            return {"type": "file", "file_id": part.file_id}
        if part.url is not None:
            if not part.url.lower().startswith(("https://", "http://")):
                raise UnsupportedFeatureError(f"{where}: {NAME} takes media from http(s) URLs only", "send the bytes")
            return {"type": "url", "url": part.url}
        if part.data is None and part.item is None:
            raise InvalidRequestError(f"{where}: media without bytes, URL or file id")
        if not part.media_type:
            raise InvalidRequestError(f"{where}: media without a type", "say its media type, e.g. image/png")
        if part.kind == "document" and part.media_type != "application/pdf":
            return self._text_source(part, where)
        data = json_base64(part.item) if part.item is not None else part.data
        return {"type": "base64", "media_type": part.media_type, "data": data}

    def _text_source(self, part: MediaPart, where: str) -> dict[str, Any]:
        if not is_textual(part.media_type):
            raise UnsupportedFeatureError(
                f"{where}: {NAME} takes no document of type {part.media_type[:60]}", "send PDF or text"
            )
        if part.media_type != "text/plain":
            self._receipts.approximated(f"{where}.media_type", "text/plain", "text documents have this type only")
        text = TextSegment(part.item) if part.item is not None else _decode_text(part.data or "", where)
        return {"type": "text", "media_type": "text/plain", "data": text}

    # --- parts of one dialect only

    def _opaque(self, part: OpaquePart, role: Role, where: str) -> dict[str, Any] | None:
        own = {**part.opaque.get("", {}), **part.opaque.get(NAME, {})}
        if own:
            return _ready(own)
        if role == "assistant":
            own_members(part.opaque, where, self._receipts)
            return None
        raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")


def _decode_text(data: str, where: str) -> str:
    try:
        return a2b_base64(data.encode(), strict_mode=True).decode("utf-8-sig")
    except (Base64Error, UnicodeError):
        pass
    raise InvalidRequestError(f"{where}: a text document that is no text in UTF-8", "send it as UTF-8")


def _ready(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _with_segments(member) for name, member in block.items()}


def _with_segments(value: Any) -> Any:
    """Make media that still stand in a block of the back-end's own ready to be sent."""
    if isinstance(value, MediaItem):
        return json_base64(value)
    if isinstance(value, Mapping):
        return {name: _with_segments(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_segments(member) for member in value]
    return value
