"""The events of an answer to chunks: one reader for streams and whole replies.

Google does not number the parts of an answer. Here they are counted: a part goes on as long as pieces of one kind come,
and one with a signature stands alone, because a signed part must go back as it came.

Source: https://ai.google.dev/api/generate-content; https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from backstream.dialects.gemini.call_pieces import CallPieces
from backstream.dialects.gemini.citations import METADATA, parse_citations
from backstream.dialects.gemini.failures import parse_error
from backstream.dialects.gemini.quirks import NAME
from backstream.dialects.gemini.settings import TIERS_READ
from backstream.dialects.gemini.words import FINISHED_BESIDE, REASONS, parse_logprobs, parse_usage
from backstream.errors import ContentRefusedError, IncompleteStream
from backstream.reply import Block, End
from backstream.wire.json_text import encode_json
from backstream.wire.status import redact

__all__ = ["Reader"]


class Reader:
    """Read the events of one answer.

    Attributes:
        started: Whether there was an event.
        failed: Whether an error has ended the answer.
        number: The number of the part that grows.
        kind: Its kind; ``""`` where none grows.
        said: The pieces of the last part of text.
        usage: The counts so far; each event's are laid over those before it, as they are sums.
    """

    __slots__ = (
        "_called",
        "_finish",
        "_model",
        "_pieces",
        "_sources",
        "failed",
        "kind",
        "number",
        "said",
        "started",
        "usage",
    )

    def __init__(self) -> None:
        self.started = False
        self.failed = False
        self.number = -1
        self.kind = ""
        self.said: list[str] = []
        self.usage: dict[str, Any] = {}
        self._model: str | None = None
        self._finish: str | None = None
        self._called = False
        self._pieces: CallPieces | None = None
        self._sources: dict[str, Any] = {}

    @property
    def finished(self) -> bool:
        """Whether there was a finish reason."""
        return self._finish is not None

    def open(self, kind: str) -> int:
        """Return the number of the part that a piece belongs to, a new one where another kind grew."""
        if self.kind != kind:
            self.kind = kind
            self.number += 1
            if kind == "text":
                self.said = []
        return self.number

    def read(self, event: Mapping[str, Any], block: Block) -> None:
        """Read one event, whatever its shape; what it does not know is passed over."""
        if event.get("error"):
            self.failed = True
            block.append(End("failed", ("error",), parse_error(None, {}, encode_json(event))))
            return
        if not self.started and event:
            self._start(event, block)
        usage = event.get("usageMetadata")
        if isinstance(usage, Mapping):
            self.usage.update(usage)
        candidates = event.get("candidates")
        found = [one for one in candidates if isinstance(one, Mapping)] if isinstance(candidates, list) else []
        if found:
            for first in [one for one in found if one.get("index", 0) in (0, None)][:1]:  # one is all we ask for
                self._read_candidate(first, block)
        else:
            self._read_feedback(event.get("promptFeedback"), block)

    def _start(self, event: Mapping[str, Any], block: Block) -> None:
        self.started = True
        answer, model = event.get("responseId"), event.get("modelVersion")
        self._model = model if isinstance(model, str) and model else None
        answer = answer if isinstance(answer, str) and answer else None
        usage = event.get("usageMetadata")
        tier = usage.get("serviceTier") if isinstance(usage, Mapping) else None
        tier = TIERS_READ.get(tier, tier) if isinstance(tier, str) and tier else None
        if answer or self._model or tier:
            block.append(Start(id=answer, model=self._model, service_tier=tier))

    def _read_feedback(self, feedback: object, block: Block) -> None:
        reason = feedback.get("blockReason") if isinstance(feedback, Mapping) else None
        if isinstance(reason, str):
            self.failed = True
            self._add_usage(block)
            message = f"the prompt was blocked ({redact(reason[:80])})"
            block.append(End("failed", ("blockReason",), ContentRefusedError(message, kind=redact(reason[:80]))))

    def _read_candidate(self, candidate: Mapping[str, Any], block: Block) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping):
                self._read_part(part, block)
        result = candidate.get("logprobsResult")
        if isinstance(result, Mapping):
            logprobs = parse_logprobs(result)
            if logprobs:
                block.append(Logprobs(logprobs=logprobs))
        self._read_sources(candidate, block)
        reason = candidate.get("finishReason")
        if isinstance(reason, str) and reason and reason != "FINISH_REASON_UNSPECIFIED" and self._finish is None:
            self._read_finish(reason, candidate, block)

    def _read_sources(self, candidate: Mapping[str, Any], block: Block) -> None:
        """Some servers repeat what they said with each event: only news makes chunks."""
        found = {name: value for name, value in candidate.items() if name in METADATA}
        news = {name: value for name, value in found.items() if self._sources.get(name) != value}
        if news:
            self._sources |= news
            block += parse_citations(news, "".join(self.said))

    def _read_finish(self, reason: str, candidate: Mapping[str, Any], block: Block) -> None:
        self._end_pieces(block)
        self._finish = reason
        unified = REASONS.get(reason, reason)
        if unified == "stop" and self._called:
            unified = "tool_calls"
        finish: dict[str, Any] = {"reason": unified} | ({"raw": reason} if reason != unified else {})
        finish |= {ours: candidate[theirs] for theirs, ours in FINISHED_BESIDE.items() if candidate.get(theirs)}
        block.append(Finish(finish=finish))

    def _read_part(self, part: Mapping[str, Any], block: Block) -> None:
        text, call, blob, file = (part.get(name) for name in ("text", "functionCall", "inlineData", "fileData"))
        thought = part.get("thought") is True
        if isinstance(text, str) and (text or set(part) <= {"text", "thought"}):
            if text:
                self._read_text(part, text, thought, block)
        elif isinstance(call, Mapping) and (isinstance(call.get("name"), str) or self._pieces is not None):
            self._read_call(part, call, block)
        elif isinstance(blob, Mapping) and isinstance(blob.get("data"), str) and not thought:
            self._read_media(part, "inlineData", blob.get("mimeType"), blob["data"], block)
        elif isinstance(file, Mapping) and isinstance(file.get("fileUri"), str) and not thought:
            self._read_media(part, "fileData", file.get("mimeType"), file["fileUri"], block)
        elif part:
            self._alone("opaque")
            self._end("opaque", part, block)

    def _alone(self, kind: str) -> int:
        self.kind = ""
        return self.open(kind)

    def _end(self, kind: str, opaque: Mapping[str, Any], block: Block) -> None:
        self.kind = ""
        block.append(PartEnd(part=self.number, kind=kind, opaque={NAME: dict(opaque)} if opaque else None))

    def _read_text(self, part: Mapping[str, Any], text: str, thought: bool, block: Block) -> None:
        rest = {name: value for name, value in part.items() if name not in ("text", "thought")}
        kind = "reasoning" if thought else "text"
        number = self._alone(kind) if rest else self.open(kind)
        if thought:
            block.append(Reasoning(token=text, part=number))
        else:
            self.said.append(text)
            block.append(Content(content=text, part=number))
        if rest:
            self._end(kind, rest, block)

    def _read_call(self, part: Mapping[str, Any], call: Mapping[str, Any], block: Block) -> None:
        """A call comes whole, or, where the request asked for it, its arguments come in pieces."""
        rest = {name: value for name, value in part.items() if name != "functionCall"}
        name, answer, pieces = call.get("name"), call.get("id"), self._pieces
        if isinstance(name, str):
            self._end_pieces(block)
            pieces = CallPieces(answer if isinstance(answer, str) else "", name, rest)
            arguments = call.get("args")
            if isinstance(arguments, dict):
                pieces.arguments = arguments
        assert pieces is not None
        pieces.add(call.get("partialArgs"))
        self._pieces = pieces
        if call.get("willContinue") is not True:
            self._end_pieces(block)

    def _end_pieces(self, block: Block) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is None:
            return
        self._called = True
        number = self._alone("tool_call")
        arguments = encode_json(pieces.arguments).decode()
        block.append(ToolCallDelta(part=number, id=pieces.id, name=pieces.name, arguments=arguments))
        self._end("tool_call", pieces.opaque, block)

    def _read_media(self, part: Mapping[str, Any], member: str, kind: object, source: str, block: Block) -> None:
        """Sound may come in pieces, each a part; of anything else each part is whole."""
        rest = {name: value for name, value in part.items() if name not in (member, "thought")}
        media_type = kind if isinstance(kind, str) else None
        inline = member == "inlineData"
        grows = inline and not rest and (media_type or "").startswith("audio/")
        number = self.open(f"media {media_type}") if grows else self._alone("media")
        media = Media(media_type=media_type, data=source, part=number)
        block.append(media if inline else Media(media_type=media_type, url=source, part=number))
        if not grows:
            self._end("media", rest, block)

    def _add_usage(self, block: list[RawResponse | End]) -> None:
        if self.usage:
            block.append(parse_usage(self.usage, self._model))
            self.usage = {}

    def finish(self, block: Block, *, whole: bool, cut: bool = False) -> None:
        """Add what is known only at the end, and the end itself.

        Args:
            block: Where to.
            whole: Whether the answer was one JSON text, so that its end needs no word of its own.
            cut: Whether the body ended inside an event.
        """
        self._add_usage(block)
        if not self.started:
            problem = "the answer ended inside its first event" if cut else "the answer is empty"
            block.append(End("failed", (), IncompleteStream(problem)))
        elif self._finish is not None:
            block.append(End("complete", (self._finish,)))
        elif whole and self.number >= 0:
            block.append(End("complete", ("whole reply",)))
        else:
            problem = "the answer ended without a finishReason"
            block.append(End("incomplete", ("cut event",) if cut else ("closed",), IncompleteStream(problem)))
