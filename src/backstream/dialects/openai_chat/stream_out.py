"""Chunks to the stream of an answer, as OpenAI's chat completions send it.

Source: https://platform.openai.com/docs/api-reference/chat-streaming; OpenAI's OpenAPI description 2.3.0,
``CreateChatCompletionStreamResponse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream.chunks import Content, Finish, RawResponse, Start, Usage
from backstream.dialects.base import Envelope
from backstream.dialects.counts import raw_usage
from backstream.dialects.openai_chat.deltas import Delta, DeltaWriter
from backstream.dialects.openai_chat.failures import render_failure
from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.errors import IncompleteStream
from backstream.reply import Block, End
from backstream.request import Request
from backstream.wire.json_text import encode_json

__all__ = ["ChatStreamRenderer", "head_of", "render_finish", "render_usage", "wants_usage"]

_WORDS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


class ChatStreamRenderer:
    """Render one streamed answer; a :class:`backstream.dialects.base.StreamRenderer`.

    Args:
        envelope: What the server says of the answer.
        quirks: Which of two names for reasoning to use.
    """

    content_type = "text/event-stream"
    keep_alive = b": keep-alive\n\n"

    __slots__ = ("_after", "_before", "_deltas", "_envelope", "_finish", "_head", "_over", "_usage")

    def __init__(self, envelope: Envelope, quirks: Quirks) -> None:
        self._envelope = envelope
        self._deltas = DeltaWriter(envelope.id, quirks)
        self._head: dict[str, Any] | None = None
        self._before = self._after = b""
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._over = False

    def render(self, block: Block) -> bytes:
        """See :class:`backstream.dialects.base.StreamRenderer`."""
        pieces: list[bytes] = []
        for chunk in block:
            if self._over:
                break
            if isinstance(chunk, End):
                self._render_end(chunk, pieces)
            elif type(chunk) is Content and chunk.content and self._head is not None:
                pieces += [self._event(delta) for delta in self._deltas.flush()]
                pieces.append(b"".join((self._before, encode_json(chunk.content), self._after)))
            else:
                self._render_chunk(chunk, pieces)
        return b"".join(pieces)

    def _render_chunk(self, chunk: RawResponse, pieces: list[bytes]) -> None:
        if isinstance(chunk, Start):
            if self._head is None:
                self._begin(chunk, pieces)
        elif isinstance(chunk, Finish):
            self._finish = chunk  # said at the end: until then nobody knows whether the answer is whole
        elif isinstance(chunk, Usage):
            self._usage = chunk
        else:
            deltas = list(self._deltas.write(chunk))
            if deltas and self._head is None:
                self._begin(Start(), pieces)
            pieces += [self._event(delta) for delta in deltas]

    def _begin(self, start: Start, pieces: list[bytes]) -> None:
        self._head = head_of(start, self._envelope, "chat.completion.chunk")
        common = encode_json(self._head)[:-1]
        self._before = b"data: " + common + b',"choices":[{"index":0,"delta":{"content":'
        self._after = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        pieces.append(self._event(Delta({"role": "assistant", "content": ""})))

    def _event(self, delta: Delta, reason: Mapping[str, Any] | None = None) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta.members, "logprobs": delta.logprobs, "finish_reason": None}
        return _encode({**(self._head or {}), "choices": [choice | dict(reason or {})]})

    def _render_end(self, end: End, pieces: list[bytes]) -> None:
        self._over = True
        if end.state != "complete":
            error = end.error or IncompleteStream("the answer was cut off")
            pieces.append(_encode(render_failure(error)))
            return
        if self._head is None:
            self._begin(Start(), pieces)
        pieces += [self._event(delta) for delta in self._deltas.flush()]
        pieces += self._last(render_finish(self._finish, called=self._deltas.called))
        pieces.append(b"data: [DONE]\n\n")

    def _last(self, reason: Mapping[str, Any]) -> list[bytes]:
        """Write the events that say why the answer ended, and what it used."""
        events = [self._event(Delta({}), reason)]
        if self._usage is not None and wants_usage(self._envelope.request):
            events.append(_encode({**(self._head or {}), "choices": [], "usage": render_usage(self._usage)}))
        return events


def _encode(event: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % encode_json(event)


def wants_usage(request: Request) -> bool:
    """A client of this dialect is told the usage only if it asked, since not all of them expect an empty choice."""
    if request.dialect != NAME:
        return True
    asked = request.extra.get("stream_options")
    return isinstance(asked, Mapping) and asked.get("include_usage") is True


def head_of(start: Start, envelope: Envelope, kind: str) -> dict[str, Any]:
    """Make the members that every event, or the answer, begins with."""
    head: dict[str, Any] = {
        "id": start.id or f"chatcmpl-{envelope.id}",
        "object": kind,
        "created": start.created if start.created is not None else envelope.created,
        "model": start.model or envelope.model,
    }
    if start.service_tier is not None:
        head["service_tier"] = start.service_tier
    if start.fingerprint is not None:
        head["system_fingerprint"] = start.fingerprint
    return head


def render_finish(finish: Finish | None, *, called: bool) -> dict[str, Any]:
    """Render why the answer ended; a word that clients of this dialect do not know stands beside ``stop``."""
    reason = finish.reason if finish is not None else None
    word = reason if reason in _WORDS else "tool_calls" if called and reason is None else "stop"
    native = finish.raw if finish is not None else None
    members: dict[str, Any] = {"finish_reason": word}
    if native is not None and native != word:
        members["native_finish_reason"] = native
    stop = finish.finish.get("stop_sequence") if finish is not None and isinstance(finish.finish, dict) else None
    if isinstance(stop, str):
        members["stop_reason"] = stop
    return members


def render_usage(usage: Usage) -> dict[str, Any]:
    """Render the usage; a total that was not reported is added up, since the form demands it."""
    raw = raw_usage(usage, NAME)
    if raw is not None:
        return raw
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.total_tokens is None and usage.input_tokens is not None and usage.output_tokens is not None:
        counts["total_tokens"] = usage.input_tokens + usage.output_tokens
    given = {
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.input_audio_tokens,
    }
    made = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.output_audio_tokens}
    known: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    for name, details in (("prompt_tokens_details", given), ("completion_tokens_details", made)):
        reported = {key: count for key, count in details.items() if count is not None}
        if reported:
            known[name] = reported
    return known
