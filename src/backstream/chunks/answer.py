"""What a model says: text, reasoning, tool calls, media, sources; how much it used, and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from backstream.chunks.base import Maybe, Typed

__all__ = [
    "Citation",
    "Content",
    "Finish",
    "Logprobs",
    "Media",
    "PartEnd",
    "PartStart",
    "Reasoning",
    "Refusal",
    "Start",
    "ToolCallDelta",
    "ToolCalls",
    "Usage",
]


class Content(Typed, frozen=True, tag="content"):
    """A piece of the answer's text, or of its media.

    Attributes:
        content: The text; for media, markup that shows it.
        urls: Where generated media lie: one URL or several, relative ones to the server.
        alt: What the media show.
        data: Generated audio as a data URI or URL.
        part: Which part of the answer this belongs to, counted from 0; ``None`` where the back-end does not say.
    """

    type: ClassVar[str] = "content"
    content: Maybe[str] = None
    urls: Maybe[str | list[str]] = None
    alt: Maybe[str] = None
    data: Maybe[str] = None
    part: Maybe[int] = None

    @property
    def text(self) -> str:
        """The text; ``""`` where the event has none."""
        return self.content or ""


class Reasoning(Typed, frozen=True, tag="reasoning"):
    """A piece of the model's reasoning, or news of it. Not part of the answer: ``str()`` of it is empty.

    Attributes:
        token: Reasoning text.
        status: What the model is doing, for a status line.
        label: What the status is about.
        is_thinking: A tag that opened or closed the reasoning (``<think>``).
        part: Which part of the answer this belongs to, counted from 0; ``None`` where the back-end does not say.
    """

    type: ClassVar[str] = "reasoning"
    token: Maybe[str] = None
    status: Maybe[str] = None
    label: Maybe[str] = None
    is_thinking: Maybe[str] = None
    part: Maybe[int] = None


class Start(Typed, frozen=True, tag="start"):
    """The beginning of an answer: the service's own words for which answer it is.

    Attributes:
        id: The answer's id, as the back-end gave it.
        model: The model that really answers.
        created: When it began, in seconds since the epoch.
        service_tier: The tier that serves it.
        fingerprint: What the back-end calls its configuration (``system_fingerprint``).
    """

    type: ClassVar[str] = "start"
    id: Maybe[str] = None
    model: Maybe[str] = None
    created: Maybe[int] = None
    service_tier: Maybe[str] = None
    fingerprint: Maybe[str] = None


class ToolCallDelta(Typed, frozen=True, tag="tool_call_delta"):
    """A piece of a tool call.

    Attributes:
        part: Which call, where several come interleaved; counted from 0, in the back-end's own count.
        id: The call's id; on its first piece.
        name: The tool's name; on its first piece.
        arguments: A piece of the arguments' JSON text; cut anywhere.
    """

    type: ClassVar[str] = "tool_call_delta"
    part: Maybe[int] = None
    id: Maybe[str] = None
    name: Maybe[str] = None
    arguments: Maybe[str] = None


class PartStart(Typed, frozen=True, tag="part_start"):
    """A part of the answer begins, of which its back-end has already told something. Most parts begin without.

    Attributes:
        part: Which part.
        kind: As in :class:`PartEnd`.
        opaque: ``{dialect: members}``: the item's id, for whoever has to name it before it is over.
    """

    type: ClassVar[str] = "part_start"
    part: Maybe[int] = None
    kind: Maybe[str] = None
    opaque: Maybe[dict[str, Any]] = None


class PartEnd(Typed, frozen=True, tag="part_end"):
    """A part of the answer is over; what its back-end wants back with the next turn travels here.

    Attributes:
        part: Which part; ``None`` where the back-end does not count: then the last one of its kind.
        kind: ``text``, ``reasoning``, ``tool_call``, ``media``, ``refusal``, or ``opaque`` for a part that only its own
            dialect can read.
        opaque: ``{dialect: members}``: signatures, encrypted reasoning, item ids. Laid over the part when it is
            rendered in that dialect again; nothing else reads it.
    """

    type: ClassVar[str] = "part_end"
    part: Maybe[int] = None
    kind: Maybe[str] = None
    opaque: Maybe[dict[str, Any]] = None


class Refusal(Typed, frozen=True, tag="refusal"):
    """A piece of the model's own refusal to answer; not part of the text.

    Attributes:
        refusal: Its text.
        part: Which part of the answer this belongs to.
    """

    type: ClassVar[str] = "refusal"
    refusal: Maybe[str] = None
    part: Maybe[int] = None


class Citation(Typed, frozen=True, tag="citation"):
    """A source the answer rests on.

    Attributes:
        url: Where the source is.
        title: Its title.
        cited_text: What of it is cited.
        start: Where in the part's text the citation begins, in characters.
        end: Where it ends.
        part: Which part of the answer cites.
        raw: ``{dialect: members}``: the back-end's own form.
    """

    type: ClassVar[str] = "citation"
    url: Maybe[str] = None
    title: Maybe[str] = None
    cited_text: Maybe[str] = None
    start: Maybe[int] = None
    end: Maybe[int] = None
    part: Maybe[int] = None
    raw: Maybe[dict[str, Any]] = None


class Logprobs(Typed, frozen=True, tag="logprobs"):
    """Log probabilities of the last tokens.

    Attributes:
        logprobs: One object a token, in OpenAI's shape: ``token``, ``logprob``, ``bytes``, ``top_logprobs``.
        part: Which part of the answer this belongs to.
    """

    type: ClassVar[str] = "logprobs"
    logprobs: Maybe[list[dict[str, Any]]] = None
    part: Maybe[int] = None


class Media(Typed, frozen=True, tag="media"):
    """Generated media, whole or a piece.

    Attributes:
        media_type: Its type, e.g. ``image/png``; on the first piece.
        data: Base64 of its bytes; pieces are base64 texts each of their own.
        url: Where it lies instead.
        file_id: The back-end's id of it.
        transcript: A piece of what the audio says.
        expires_at: Until when the back-end knows ``id``, in seconds since the epoch.
        id: What the back-end calls it, to refer to it in the next turn.
        part: Which part of the answer this belongs to.
    """

    type: ClassVar[str] = "media"
    media_type: Maybe[str] = None
    data: Maybe[str] = None
    url: Maybe[str] = None
    file_id: Maybe[str] = None
    transcript: Maybe[str] = None
    expires_at: Maybe[int] = None
    id: Maybe[str] = None
    part: Maybe[int] = None


_INPUT = ("prompt_tokens", "input_tokens", "promptTokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "completionTokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")


def _count(usage: object, *names: str) -> int | None:
    if not isinstance(usage, Mapping):
        return None
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


class Usage(Typed, frozen=True, tag="usage"):
    """What the answer used, as the back-end counted it.

    Attributes:
        usage: The counts (``prompt_tokens``, ``completion_tokens``, ``total_tokens``, and their ``…_details``), in the
            shape of OpenAI's chat completions; ``prompt_tokens`` counts cached tokens too. A count that was not
            reported is absent, never 0.
        model: The model that answered.
        provider: The provider that answered.
        computed: The names of counts that were added up here from reported ones, e.g. ``["prompt_tokens"]``.
        raw: ``{dialect: members}``: the back-end's own form.
    """

    type: ClassVar[str] = "usage"
    usage: Maybe[dict[str, Any]] = None
    model: Maybe[str] = None
    provider: Maybe[str] = None
    computed: Maybe[list[str]] = None
    raw: Maybe[dict[str, Any]] = None

    @property
    def input_tokens(self) -> int | None:
        """Tokens of the request, cached ones with them; ``None`` where not reported."""
        return _count(self.usage, *_INPUT)

    @property
    def output_tokens(self) -> int | None:
        """Tokens of the answer, reasoning with them; ``None`` where not reported."""
        return _count(self.usage, *_OUTPUT)

    @property
    def total_tokens(self) -> int | None:
        """Tokens of both as reported; ``None`` where not reported."""
        return _count(self.usage, *_TOTAL)

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the request that were read from a cache; ``None`` where not reported."""
        return _count(self._input_details, "cached_tokens")

    @property
    def cache_write_tokens(self) -> int | None:
        """Tokens of the request that were written to a cache; ``None`` where not reported."""
        return _count(self._input_details, "cache_write_tokens")

    @property
    def reasoning_tokens(self) -> int | None:
        """Tokens of the answer that were reasoning; ``None`` where not reported."""
        return _count(self._output_details, "reasoning_tokens")

    @property
    def input_audio_tokens(self) -> int | None:
        """Tokens of the request that were audio; ``None`` where not reported."""
        return _count(self._input_details, "audio_tokens")

    @property
    def output_audio_tokens(self) -> int | None:
        """Tokens of the answer that were audio; ``None`` where not reported."""
        return _count(self._output_details, "audio_tokens")

    @property
    def _input_details(self) -> object:
        usage: Mapping[str, Any] = self.usage or {}
        return usage.get("prompt_tokens_details") or usage.get("input_tokens_details")

    @property
    def _output_details(self) -> object:
        usage: Mapping[str, Any] = self.usage or {}
        return usage.get("completion_tokens_details") or usage.get("output_tokens_details")

    def source(self, name: str) -> Literal["provider", "computed"] | None:
        """Tell where a count comes from.

        Args:
            name: A property of this class that is a count, e.g. ``"input_tokens"``.

        Returns:
            ``provider`` for a reported count, ``computed`` for one added up from reported ones, ``None`` for none.
        """
        if getattr(self, name) is None:
            return None
        members = {"input_tokens": _INPUT, "output_tokens": _OUTPUT, "total_tokens": _TOTAL}.get(name, (name,))
        return "computed" if set(members) & set(self.computed or ()) else "provider"


class Finish(Typed, frozen=True, tag="finish"):
    """The back-end's word for done.

    Attributes:
        finish: ``{"reason": "stop"}``, or only the reason from some servers. ``raw`` beside ``reason`` is the
            back-end's own word where that is another one.
    """

    type: ClassVar[str] = "finish"
    finish: Maybe[dict[str, Any] | str] = None

    @property
    def reason(self) -> str | None:
        """Why the answer ended: ``stop``, ``length``, ``tool_calls``, ``content_filter``, or a word of the back-end."""
        reason = self.finish.get("reason") if isinstance(self.finish, dict) else self.finish
        return reason if isinstance(reason, str) else None

    @property
    def raw(self) -> str | None:
        """Why the answer ended, in the back-end's own word; ``None`` where it gave none."""
        raw = self.finish.get("raw") if isinstance(self.finish, dict) else None
        return raw if isinstance(raw, str) else self.reason


class ToolCalls(Typed, frozen=True, tag="tool_calls"):
    """Whole tool calls, in the shape of OpenAI's chat completions."""

    type: ClassVar[str] = "tool_calls"
    tool_calls: Maybe[list[dict[str, Any]]] = None
