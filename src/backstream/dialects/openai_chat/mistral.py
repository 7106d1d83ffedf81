"""Chat completions as Mistral's client libraries read and write them, for a server that answers such a client.

They hold an answer to their vendor's form: a call of a tool comes whole, reasoning is a part of the content, the last
event tells the usage, and a model says of what type it is.

Source: https://docs.mistral.ai/api/endpoint/chat, https://docs.mistral.ai/api/endpoint/models and
https://docs.mistral.ai/capabilities/reasoning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backstream.chunks import Media, PartEnd, RawResponse, ToolCallDelta, ToolCalls
from backstream.dialects.base import Envelope
from backstream.dialects.joining import PartJoiner
from backstream.dialects.openai_chat.deltas import Delta
from backstream.dialects.openai_chat.dialect import OpenAIChat
from backstream.dialects.openai_chat.quirks import Quirks
from backstream.dialects.openai_chat.reply import make_reply
from backstream.dialects.openai_chat.stream_out import ChatStreamRenderer, render_usage
from backstream.dialects.openai_models import render_models
from backstream.models import ModelInfo
from backstream.reply import Block, End
from backstream.request import MediaPart, Request, ToolCallPart
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["MistralClients", "MistralStreamRenderer"]

_QUIRKS: Final = Quirks(seed="random_seed")
_REASONING: Final = _QUIRKS.reasoning_field


class MistralClients(OpenAIChat, frozen=True):
    """OpenAI's chat completions, spoken with clients of Mistral."""

    quirks: Quirks = _QUIRKS

    takes_frames = False
    """Frames of another server are not what its clients expect."""

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request."""
        members = dict(members)
        if members.get("tool_choice") == "any":
            members["tool_choice"] = "required"
        messages = members.get("messages")
        if isinstance(messages, list):
            members["messages"] = [_own_message(message) for message in messages]
        return super().parse_request(members, path)

    def stream_renderer(self, envelope: Envelope) -> MistralStreamRenderer:
        """Make the renderer of one streamed answer."""
        return MistralStreamRenderer(envelope, self.quirks)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer; one whose usage is not known has an empty one, since the form demands it."""
        answer: dict[str, Any] = {"usage": {}, **make_reply(chunks, envelope, self.quirks)}
        message = answer["choices"][0]["message"]
        thought = message.pop(_REASONING, None)
        if thought is not None:
            said = [{"type": "text", "text": message["content"]}] if message["content"] else []
            message["content"] = [_thinking(thought), *said]
        return encode_json(answer)

    def render_models(self, models: Sequence[ModelInfo]) -> bytes:
        """Render a list of models."""
        listed: dict[str, Any] = decode_json(render_models(models))
        for entry, model in zip(listed["data"], models, strict=True):
            known = {"function_calling": model.tools, "reasoning": model.reasoning}
            can = {name: value for name, value in known.items() if value is not None}
            entry |= {"type": "base", "capabilities": {"completion_chat": True, **can}}
        return encode_json(listed)


class MistralStreamRenderer(ChatStreamRenderer):
    """Render one streamed answer; see :class:`ChatStreamRenderer`."""

    __slots__ = ("_joiner",)

    def __init__(self, envelope: Envelope, quirks: Quirks) -> None:
        super().__init__(envelope, quirks)
        self._joiner = PartJoiner()

    def render(self, block: Block) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`."""
        return super().render(list(self._join(block)))

    def _join(self, block: Block) -> Iterator[RawResponse | End]:
        for chunk in block:
            if isinstance(chunk, End):
                yield from _whole(self._joiner.flush()) if chunk.state == "complete" else ()
            elif not isinstance(chunk, Media):
                yield from _whole(self._joiner.add(chunk))
            if not isinstance(chunk, ToolCallDelta | ToolCalls) and not _ends_call(chunk):
                yield chunk

    def _event(self, delta: Delta, reason: Mapping[str, Any] | None = None) -> bytes:
        thought = delta.members.get(_REASONING)
        return super()._event(delta if thought is None else Delta({"content": [_thinking(thought)]}), reason)

    def _last(self, reason: Mapping[str, Any]) -> list[bytes]:
        if self._usage is not None:
            self._head = {**(self._head or {}), "usage": render_usage(self._usage)}
        return [self._event(Delta({}), reason)]


def _ends_call(chunk: RawResponse | End) -> bool:
    return isinstance(chunk, PartEnd) and chunk.kind == "tool_call"


def _whole(parts: Sequence[ToolCallPart | MediaPart]) -> list[ToolCallDelta]:
    calls = [part for part in parts if isinstance(part, ToolCallPart)]  # media are not given to the joiner
    return [ToolCallDelta(id=call.id or None, name=call.name, arguments=call.arguments) for call in calls]


def _thinking(thought: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}


def _own_message(message: Any) -> Any:
    """Write the thinking in a message's content where others have their reasoning."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list):
        return message
    thoughts = [part for part in content if isinstance(part, Mapping) and part.get("type") == "thinking"]
    if not thoughts:
        return message
    pieces = [piece for part in thoughts if isinstance(part.get("thinking"), list) for piece in part["thinking"]]
    thought = "".join(str(piece.get("text") or "") for piece in pieces if isinstance(piece, Mapping))
    return {**message, "content": [part for part in content if part not in thoughts], _REASONING: thought}
