"""What one JSON object of an answer says, as chunks; the same for a line of a stream and for a whole answer.

Source: https://docs.ollama.com/api/chat and the ``ChatResponse`` of https://pkg.go.dev/github.com/ollama/ollama/api.
``reasoning_content`` is no member of Ollama's, but of servers that imitate it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backstream.chunks import (
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    RawResponse,
    Reasoning,
    Start,
    ToolCallDelta,
)
from backstream.dialects.counts import usage_of
from backstream.dialects.ollama.vendor import NAME, parse_time, sniff_base64
from backstream.dialects.think import ThinkSplitter
from backstream.wire.json_text import encode_json

__all__ = ["AnswerReader"]

_THINKING: Final = ("thinking", "reasoning_content")
_CALL: Final = frozenset({"id", "type", "function"})
_METRICS: Final = (
    "prompt_eval_count",
    "eval_count",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
)


class AnswerReader:
    """Reads the objects of one answer, in order; whatever in them has an unexpected type is passed over.

    Args:
        think_tags: Whether ``<think>`` text at the beginning of the answer is reasoning.

    Attributes:
        done: Whether the back-end's word for done has come.
    """

    __slots__ = ("_calls", "_parts", "_splitter", "_started", "done")

    def __init__(self, *, think_tags: bool) -> None:
        self.done = False
        self._started = False
        self._parts = 0
        self._calls = 0
        self._splitter = ThinkSplitter() if think_tags else None

    @property
    def settled(self) -> bool:
        """Whether text and thinking mean what they say, and need not be read here."""
        return self._started and (self._splitter is None or self._splitter.settled)

    def read(self, event: Mapping[str, Any]) -> list[RawResponse]:
        """Read one object."""
        chunks: list[RawResponse] = []
        if not self._started:
            self._started = True
            model = event.get("model")
            chunks.append(Start(model=_text(model) or None, created=parse_time(event.get("created_at"))))
        message = event.get("message")
        if isinstance(message, Mapping):
            chunks += self._read_message(message)
        logprobs = _objects(event.get("logprobs"))
        if logprobs:
            chunks.append(Logprobs(logprobs=logprobs))
        if event.get("done") is True:
            chunks += self.flush()
            chunks += self._read_end(event)
        return chunks

    def flush(self) -> list[RawResponse]:
        """Give the text that was held back as what might have been a tag."""
        return _chunks_of(self._splitter.finish()) if self._splitter is not None else []

    def _read_message(self, message: Mapping[str, Any]) -> Iterator[RawResponse]:
        thinking = next((_text(message.get(name)) for name in _THINKING if message.get(name)), "")
        if thinking:
            yield from self.flush()
            self._splitter = None  # the server tells them apart by itself
            yield Reasoning(token=thinking)
        text = _text(message.get("content"))
        if text and self._splitter is not None:
            yield from _chunks_of(self._splitter.feed(text))
        elif text:
            yield Content(content=text)
        images = message.get("images")
        for image in images if isinstance(images, list) else ():
            if isinstance(image, str) and image:
                yield from self._read_image(image)
        for call in _objects(message.get("tool_calls")):
            yield from self._read_call(call)

    def _read_image(self, image: str) -> Iterator[RawResponse]:
        yield from self.flush()
        part = self._next_part()
        yield Media(media_type=sniff_base64(image), data=image, part=part)
        yield PartEnd(part=part, kind="media")

    def _read_call(self, call: Mapping[str, Any]) -> Iterator[RawResponse]:
        function = call.get("function")
        if not isinstance(function, Mapping):
            return
        yield from self.flush()
        self._calls += 1
        part = self._next_part()
        arguments = function.get("arguments")
        yield ToolCallDelta(
            part=part,
            id=_text(call.get("id")) or None,
            name=_text(function.get("name")) or None,
            arguments=arguments if isinstance(arguments, str) else encode_json(arguments or {}).decode(),
        )
        rest = {name: value for name, value in call.items() if name not in _CALL}
        yield PartEnd(part=part, kind="tool_call", opaque={NAME: rest} if rest else None)

    def _next_part(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _read_end(self, event: Mapping[str, Any]) -> Iterator[RawResponse]:
        self.done = True
        said = _text(event.get("done_reason")) or "stop"  # servers before 0.3.6 say only that it is done
        if said == "stop" and self._calls:
            yield Finish(finish={"reason": "tool_calls", "raw": said})
        else:
            yield Finish(finish={"reason": said})
        metrics = {name: event[name] for name in _METRICS if _count(event.get(name)) is not None}
        if metrics:
            yield usage_of(
                NAME,
                metrics,
                input_tokens=_count(event.get("prompt_eval_count")),
                output_tokens=_count(event.get("eval_count")),
                model=_text(event.get("model")) or None,
            )


def _chunks_of(texts: list[tuple[bool, str]]) -> list[RawResponse]:
    return [Reasoning(token=text) if thought else Content(content=text) for thought, text in texts]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [dict(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
