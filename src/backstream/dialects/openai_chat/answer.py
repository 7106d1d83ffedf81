"""The objects of an answer, streamed deltas and whole messages alike, to chunks; whatever has another shape is skipped.

Source: https://platform.openai.com/docs/api-reference/chat-streaming; for what others add:
https://api-docs.deepseek.com/api/create-chat-completion (``reasoning_content``),
https://openrouter.ai/docs/api-reference/overview (``reasoning``, ``native_finish_reason``, ``images``),
https://openrouter.ai/docs/use-cases/reasoning-tokens (``reasoning_details``), https://docs.mistral.ai/api (lists of
content), https://docs.perplexity.ai/api-reference/chat-completions-post (``citations``, ``search_results``),
https://console.groq.com/docs/api-reference (``x_groq``), https://platform.kimi.ai/docs/api/chat (usage in a choice).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    PartEnd,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    Usage,
)
from backstream.dialects.counts import usage_of
from backstream.dialects.openai_chat.answer_calls import CallReader
from backstream.dialects.openai_chat.answer_media import read_audio, read_image
from backstream.dialects.openai_chat.quirks import NAME, Quirks
from backstream.dialects.think import ThinkSplitter

__all__ = ["BROKEN_OFF", "AnswerReader", "read_finish", "read_usage"]

BROKEN_OFF: Final = frozenset({"error", "insufficient_system_resource"})
"""Words for "finished" that mean it was not. Source: the pages of OpenRouter, Mistral and DeepSeek above."""

_GROWING: Final = frozenset({"text", "summary", "data"})  # what comes in pieces in details of reasoning
_REASONS: Final[Mapping[str, str]] = {
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "model_length": "length",
    "max_tokens": "length",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "refusal": "content_filter",
}


class AnswerReader:
    """Reads the objects of one answer; keeps what comes in pieces, and what is said at its end.

    Args:
        quirks: What is odd about the back-end.

    Attributes:
        plain: Whether an object with nothing but text in it needs no reading: its text is the chunk.
        call_parts: Which part each index of a tool call is, so far.
        reason: The last word for why the answer ended; ``None`` until there is one.
    """

    def __init__(self, quirks: Quirks) -> None:
        self.plain = False
        self.reason: str | None = None
        self._started = False
        self._quirks = quirks
        self._think = ThinkSplitter() if quirks.think_tags else None
        self._calls = CallReader()
        self.call_parts: Mapping[int, int] = self._calls.parts
        self._finish: Finish | None = None
        self._usage: dict[str, Any] = {}
        self._details: list[Mapping[str, Any]] = []
        self._sound: dict[str, Any] = {}
        self._sources: set[str] = set()

    def read(self, answer: Mapping[str, Any]) -> list[RawResponse]:
        """Read one object: an event's data, or a whole answer."""
        chunks: list[RawResponse] = []
        choices = answer.get("choices")
        choice = next(filter(_is_first, choices), None) if isinstance(choices, list) else None
        if not self._started:
            self._read_start(answer, choice, chunks)
        if choice is not None:
            chunks += self._read_choice(choice)
        chunks += self._read_sources(answer)
        self._note_usage(answer, choice)
        self.plain = self._started and (self._think is None or self._think.settled)
        return chunks

    def _read_start(self, answer: Mapping[str, Any], choice: object, chunks: list[RawResponse]) -> None:
        """Azure's first event has empty names, and no choice; the real ones come with the next."""
        names: dict[str, Any] = {name: _text(answer.get(name)) for name in ("id", "model", "service_tier")}
        if any(names.values()):
            made = answer.get("created")
            chunks.append(
                Start(
                    **names,
                    created=made if isinstance(made, int) and 0 < made < 2**53 else None,
                    fingerprint=_text(answer.get("system_fingerprint")),
                )
            )
        self._started = bool(chunks) or choice is not None

    def _read_choice(self, choice: Mapping[str, Any]) -> Iterable[RawResponse]:
        message = choice.get("delta")
        if not isinstance(message, Mapping):
            message = choice.get("message")
        if isinstance(message, Mapping):
            yield from self._read_message(message)
        elif text := _text(choice.get("text")):  # of a server that knows completions only
            yield Content(content=text)
        logprobs = choice.get("logprobs")
        tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        if isinstance(tokens, list) and (known := [token for token in tokens if isinstance(token, dict)]):
            yield Logprobs(logprobs=known)
        reason = _text(choice.get("finish_reason"))
        if reason is not None:
            self.reason, self._finish = reason, read_finish(reason, choice)

    def _read_message(self, message: Mapping[str, Any]) -> Iterable[RawResponse]:
        reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        if reasoning is not None:
            yield Reasoning(token=reasoning)
        details = message.get("reasoning_details")
        if isinstance(details, list):
            self._details += [detail for detail in details if isinstance(detail, Mapping)]
        content = message.get("content")
        if isinstance(content, str):
            yield from self._read_text(content)
        elif isinstance(content, list):
            for part in content:
                yield from self._read_part(part)
        if (refusal := _text(message.get("refusal"))) is not None:
            yield Refusal(refusal=refusal)
        yield from self._calls.read(message)
        audio = message.get("audio")
        if isinstance(audio, Mapping):
            yield from read_audio(audio, self._sound)
        for image in _objects(message.get("images")):
            yield from self._end_sound()
            yield from read_image(image)
        for note in _objects(message.get("annotations")):
            yield _read_annotation(note)

    def _read_text(self, text: str) -> Iterable[RawResponse]:
        if self._think is None:
            return [Content(content=text)] if text else []
        return [_said(thought, piece) for thought, piece in self._think.feed(text)]

    def _read_part(self, part: object) -> Iterable[RawResponse]:
        """Read one of Mistral's content parts."""
        if not isinstance(part, Mapping):
            return
        kind = part.get("type")
        if kind == "thinking":
            thinking = part.get("thinking")
            pieces = [thinking] if isinstance(thinking, str) else [_text(p.get("text")) for p in _objects(thinking)]
            if token := "".join(filter(None, pieces)):
                yield Reasoning(token=token)
        elif kind == "reference":
            yield Citation(raw={NAME: dict(part)})
        elif kind == "image_url":
            yield from read_image(part)
        elif (text := _text(part.get("text"))) is not None:
            yield from self._read_text(text)

    def _read_sources(self, answer: Mapping[str, Any]) -> Iterable[RawResponse]:
        """Read the list of URLs that some repeat in each event; each of them is told once."""
        if self._quirks.citations is None:
            return
        results = _objects(answer.get("search_results"))
        titles = {url: _text(result.get("title")) for result in results if isinstance(url := result.get("url"), str)}
        found = answer.get(self._quirks.citations)
        for url in found if isinstance(found, list) else titles:
            if isinstance(url, str) and url not in self._sources:
                self._sources.add(url)
                yield Citation(url=url, title=titles.get(url))

    def _note_usage(self, answer: Mapping[str, Any], choice: Mapping[str, Any] | None) -> None:
        found = answer.get("usage")
        if found is None:
            groq = answer.get("x_groq")
            found = groq.get("usage") if isinstance(groq, Mapping) else choice.get("usage") if choice else None
        if isinstance(found, Mapping):
            self._usage |= found

    def finish(self) -> list[RawResponse]:
        """Give what is said at the answer's end: what was held back, ends of parts, the finish, the usage. Once."""
        chunks: list[RawResponse] = []
        if self._think is not None:
            chunks += [_said(thought, piece) for thought, piece in self._think.finish()]
        if self._details:
            opaque = {NAME: {"reasoning_details": merge_details(self._details)}}
            chunks.append(PartEnd(kind="reasoning", opaque=opaque))
        chunks += self._calls.finish()
        chunks += self._end_sound()
        if self._finish is not None:
            chunks.append(self._finish)
        if self._usage:
            chunks.append(read_usage(self._usage))
        self._details, self._finish, self._usage = [], None, {}
        return chunks

    def _end_sound(self) -> Iterable[RawResponse]:
        """End the sound that came so far, so that other media do not join it; it is named by its id next time."""
        known, self._sound = self._sound, {}
        if "id" in known:
            yield PartEnd(kind="media", opaque={NAME: {"id": known["id"]}})
        elif known:
            yield PartEnd(kind="media")


def _said(thought: bool, text: str) -> RawResponse:
    return Reasoning(token=text) if thought else Content(content=text)


def _is_first(choice: object) -> bool:
    """Only the first answer is told: one is all that is ever asked for."""
    return isinstance(choice, Mapping) and choice.get("index", 0) in (0, None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _objects(values: object) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _read_annotation(note: Mapping[str, Any]) -> Citation:
    cited = note.get("url_citation")
    cited = cited if isinstance(cited, Mapping) else {}
    return Citation(
        url=_text(cited.get("url")),
        title=_text(cited.get("title")),
        cited_text=_text(cited.get("content")),
        start=_place(cited.get("start_index")),
        end=_place(cited.get("end_index")),
        raw={NAME: dict(note)},
    )


def _place(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def merge_details(details: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Join the pieces of OpenRouter's ``reasoning_details``: successive ones of one index and type are one."""
    merged: list[tuple[dict[str, Any], dict[str, list[str]]]] = []
    for detail in details:
        if not merged or any(merged[-1][0].get(name) != detail.get(name) for name in ("index", "type")):
            merged.append(({}, {}))
        members, texts = merged[-1]
        for name, value in detail.items():
            if name in _GROWING and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            elif value is not None or name not in members:
                members[name] = value
    return [members | {name: "".join(pieces) for name, pieces in texts.items()} for members, texts in merged]


def read_finish(reason: str, choice: Mapping[str, Any]) -> Finish:
    """Make the finish of a back-end's word; the words of others behind it are further members."""
    native, stop = _text(choice.get("native_finish_reason")), _text(choice.get("stop_reason"))
    finish: dict[str, Any] = {"reason": _REASONS.get(reason, reason)}
    if native is not None and native != reason:
        finish["raw"] = native
    elif finish["reason"] != reason:
        finish["raw"] = reason
    if stop is not None:  # vLLM: the text that ended the answer
        finish["stop_sequence"] = stop
    return Finish(finish=finish)


def read_usage(raw: Mapping[str, Any]) -> Usage:
    """Make the usage chunk of a ``usage`` object; DeepSeek and Moonshot count cached tokens in places of their own."""
    given, made = _details(raw, "prompt_tokens_details"), _details(raw, "completion_tokens_details")
    cached = given.get("cached_tokens", raw.get("prompt_cache_hit_tokens", raw.get("cached_tokens")))
    return usage_of(
        NAME,
        raw,
        input_tokens=_count(raw.get("prompt_tokens")),
        output_tokens=_count(raw.get("completion_tokens")),
        total_tokens=_count(raw.get("total_tokens")),
        cached_tokens=_count(cached),
        cache_write_tokens=_count(given.get("cache_write_tokens")),
        reasoning_tokens=_count(made.get("reasoning_tokens", raw.get("reasoning_tokens"))),
        input_audio_tokens=_count(given.get("audio_tokens")),
        output_audio_tokens=_count(made.get("audio_tokens")),
    )


def _details(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = raw.get(name)
    return details if isinstance(details, Mapping) else {}


_count = _place
