"""The turns of a conversation as messages of OpenAI's chat completions.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages; for ``video_url`` and
``audio_url``, https://docs.vllm.ai/en/latest/features/multimodal_inputs.html; for ``cache_control`` and documents by
URL, https://openrouter.ai/docs/features/prompt-caching and https://openrouter.ai/docs/features/multimodal/pdfs; for
``reasoning_details``, https://openrouter.ai/docs/use-cases/reasoning-tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backstream.dialects.call_ids import CallIds
from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.dialects.openai_chat.request_media import render_media
from backstream.errors import UnsupportedFeatureError
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

__all__ = ["render_turns"]

_ROLES: Final = {"system": "developer", "developer": "system"}


def render_turns(turns: Sequence[Turn], receipts: Receipts, quirks: Quirks) -> list[dict[str, Any]]:
    """Render turns as messages; media still to be read are segments in them.

    Raises:
        UnsupportedFeatureError: Content that the back-end has no words for.
    """
    renderer = _TurnRenderer(receipts, quirks)
    return [message for index, turn in enumerate(turns) for message in renderer.render(turn, f"messages[{index}]")]


class _TurnRenderer:
    """Renders the turns of one request; gives calls without an id one, the same in the call and in its result."""

    def __init__(self, receipts: Receipts, quirks: Quirks) -> None:
        self._receipts = receipts
        self._quirks = quirks
        self._call_ids = CallIds()
        self._role_now: Role = "user"

    def render(self, turn: Turn, where: str) -> list[dict[str, Any]]:
        self._role_now = turn.role
        results = [part for part in turn.parts if isinstance(part, ToolResultPart)]
        messages = [self._render_result(part, turn, where) for part in results]
        if len(results) < len(turn.parts) or not results:
            rest = [part for part in turn.parts if not isinstance(part, ToolResultPart)]
            messages.append(self._render_message(turn, rest, where))
        self._note_foreign(turn.opaque, where)
        for part in turn.parts:
            self._note_foreign(part.opaque, where, harmless=turn.role in ("assistant", "tool"))
        return messages

    def _note_foreign(self, opaque: Any, where: str, *, harmless: bool = True) -> None:
        """What a model said beside its words only its own back-end wants; what a user said was meant."""
        for dialect in opaque:
            if dialect not in ("", NAME):
                self._receipts.dropped(f"{where}.opaque.{dialect}", "for another back-end", harmless=harmless)

    def _render_message(self, turn: Turn, parts: Sequence[Part], where: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": self._role(turn.role, where)}
        if turn.name is not None and "name" in self._quirks.unsupported:
            self._receipts.dropped(f"{where}.name", "the back-end refuses names of speakers")
        elif turn.name is not None:
            message["name"] = turn.name
            self._receipts.kept(f"{where}.name")
        if turn.role == "assistant":
            self._render_answer(message, parts, where)
        else:
            message["content"] = self._join(self._render_parts(parts, where))
        return {**message, **turn.opaque.get(NAME, {})}

    def _role(self, role: str, where: str) -> str:
        wanted = self._quirks.system_role
        if wanted != "auto" and _ROLES.get(role) == wanted:
            self._receipts.renamed(f"{where}.role", wanted)
            return wanted
        return role

    def _render_answer(self, message: dict[str, Any], parts: Sequence[Part], where: str) -> None:
        content: list[dict[str, Any]] = []
        message["content"] = None
        for part in parts:
            own = part.opaque.get(NAME, {})
            if isinstance(part, ReasoningPart):
                self._render_reasoning(message, part, where)
            elif isinstance(part, ToolCallPart):
                message.setdefault("tool_calls", []).append(self._render_call(part))
            elif isinstance(part, RefusalPart):
                message["refusal"] = message.get("refusal", "") + part.text
                message.update(own)
            elif isinstance(part, MediaPart):
                content += self._render_made(message, part, where)
            else:
                content += self._render_parts([part], where)
        if content or not set(message) - {"role", "name", "content"}:
            message["content"] = self._join(content)

    def _render_call(self, part: ToolCallPart) -> dict[str, Any]:
        own = part.opaque.get(NAME, {})
        if "custom" in own:
            custom = {"name": part.name, "input": part.arguments, **own["custom"]}
            return {"id": self._call_ids.of_call(part), "type": "custom", **own, "custom": custom}
        function = {"name": part.name, "arguments": part.arguments}
        return {"id": self._call_ids.of_call(part), "type": "function", "function": function, **own}

    def _render_reasoning(self, message: dict[str, Any], part: ReasoningPart, where: str) -> None:
        own = part.opaque.get(NAME, {})
        if self._quirks.send_reasoning and part.text:
            field = self._quirks.reasoning_field
            message[field] = message.get(field, "") + part.text
            self._receipts.kept(f"{where}.reasoning")
        elif not own:
            self._receipts.dropped(f"{where}.reasoning", "the back-end takes no reasoning back", harmless=True)
        message.update(own)

    def _render_made(self, message: dict[str, Any], part: MediaPart, where: str) -> list[dict[str, Any]]:
        """Media that a model made: a sound by its id, an image as OpenRouter has it, a foreign sound by its words."""
        own = part.opaque.get(NAME, {})
        if "id" in own or (part.kind == "audio" and part.file_id is not None):
            message["audio"] = {"id": own.get("id", part.file_id)}
            return []
        if own.get("type") == "image_url":
            message.setdefault("images", []).append(render_media(part, f"{where}: an answer", self._quirks))
            return []
        if part.transcript:
            self._receipts.approximated(f"{where}.audio", "its transcript", "only a sound of its own can be named")
            return [{"type": "text", "text": part.transcript}]
        raise UnsupportedFeatureError(
            f"{where}: media that a model made cannot be sent back as its answer ({part.kind})",
            "leave it out, or put it into a turn of the user",
        )

    def _render_parts(self, parts: Sequence[Part], where: str) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, TextPart):
                content.append(self._lay_over({"type": "text", "text": part.text}, part, where))
            elif isinstance(part, MediaPart):
                content.append(self._lay_over(render_media(part, where, self._quirks), part, where))
            elif isinstance(part, OpaquePart):
                content += self._render_opaque(part, where)
            elif isinstance(part, ReasoningPart):
                self._receipts.dropped(f"{where}.reasoning", "only an answer reasons", harmless=True)
            else:
                raise UnsupportedFeatureError(f"{where}: only an answer can hold a {_kind(part)}")
        return content

    def _render_opaque(self, part: OpaquePart, where: str) -> list[dict[str, Any]]:
        own = {**part.opaque.get("", {}), **part.opaque.get(NAME, {})}
        if own or self._role_now == "assistant":
            return [own] if own else []
        raise UnsupportedFeatureError(f"{where}: a part that only {', '.join(part.opaque) or 'nobody'} reads")

    def _lay_over(self, rendered: dict[str, Any], part: Part, where: str) -> dict[str, Any]:
        if part.cache_control is not None:
            if self._quirks.cache_control:
                rendered["cache_control"] = part.cache_control
            else:
                self._receipts.dropped(f"{where}.cache_control", "the back-end caches by itself", harmless=True)
        rendered.update(part.opaque.get(NAME, {}))
        return rendered

    def _join(self, content: list[dict[str, Any]]) -> Any:
        """One bare text stays a text, as older servers want it."""
        if not content:
            return ""
        if len(content) == 1 and set(content[0]) == {"type", "text"} and content[0]["text"]:
            return content[0]["text"]
        return content

    def _render_result(self, part: ToolResultPart, turn: Turn, where: str) -> dict[str, Any]:
        if any(isinstance(piece, MediaPart) for piece in part.content):
            raise UnsupportedFeatureError(
                f"{where}: chat completions take only text as the result of a tool",
                "put the media into a turn of the user behind it",
            )
        message: dict[str, Any] = {"role": "tool", "tool_call_id": self._call_ids.of_result(part)}
        if part.name:
            message["name"] = part.name
        message["content"] = self._join(self._render_parts(part.content, where))
        if part.is_error:
            self._receipts.dropped(f"{where}.is_error", "there is no such mark; its text tells", harmless=True)
        message.update(part.opaque.get(NAME, {}))
        return {**message, **turn.opaque.get(NAME, {})} if turn.role == "tool" else message


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part")
