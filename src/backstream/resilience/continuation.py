"""The two halves of an answer that goes on elsewhere: what the reader has, and what of the next answer is new to him.

Pure; asks nobody.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    Preview,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    Switched,
    ToolCallDelta,
    ToolCalls,
    Variant,
)
from backstream.messages import Messages
from backstream.reply import Block
from backstream.request import Request, TextPart, Turn
from backstream.resilience.matching import Matcher, whole_words

__all__ = ["MOST_CHARACTERS", "Continued", "Given", "messages_with_begin", "with_begin"]

MOST_CHARACTERS: Final = 64 * 1024 * 1024
"""The longest text that is kept to go on from."""

_NOT_TEXT: Final = (ToolCallDelta, ToolCalls, Media, Refusal, Variant, Preview, Finish)
"""What cannot be gone on from: the rest of it is nowhere but in the answer that broke."""

_ENDING: Final = (*_NOT_TEXT, Reasoning, PartStart, PartEnd)
"""What a word does not go on behind."""


def with_begin(request: Request, prefix: str) -> Request:
    """Return a request whose answer begins as given: a last turn of the assistant, for a route that takes it.

    Args:
        request: The request.
        prefix: The begin of the answer; ``""`` for none.
    """
    if not prefix:
        return request
    begin = Turn(role="assistant", parts=(TextPart(text=prefix),))
    return msgspec.structs.replace(request, turns=(*request.turns, begin))


def messages_with_begin(messages: Messages, prefix: str) -> Messages:
    """Return the same for a conversation that is not a request yet.

    Args:
        messages: The conversation.
        prefix: The begin of the answer; ``""`` for none.
    """
    return [*messages, {"role": "assistant", "content": prefix}] if prefix else messages


def _is_plain(chunk: Content) -> bool:
    return chunk.urls is None and chunk.data is None


class Given:
    """What the reader has been given of an answer.

    A last word that may go on is held back until it is over, so that whatever is gone on from ends between words.

    Attributes:
        can_go_on: Whether another answer could go on from it: it holds nothing but text, and reasoning before it.
        part: The part of the answer its latest text belongs to.
        parts: One more than the highest number of a part in it.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._size = 0
        self._held: Content | None = None
        self.can_go_on = True
        self.part: int | None = None
        self.parts = 0

    @property
    def text(self) -> str:
        """Its text."""
        self._texts = ["".join(self._texts)]
        return self._texts[0]

    def give(self, block: Block) -> Block:
        """Note a block; return what of it may be given now.

        Args:
            block: Chunks; an ``End`` stays with the caller.
        """
        given: Block = []
        for chunk in block:
            part = getattr(chunk, "part", None)
            if isinstance(part, int):
                self.parts = max(self.parts, part + 1)
            if type(chunk) is Content and _is_plain(chunk):
                self._give_text(chunk, given)
                continue
            if isinstance(chunk, (*_ENDING, Content)):
                given += self.release()
                self.can_go_on = self.can_go_on and not isinstance(chunk, (*_NOT_TEXT, Content))
            given.append(chunk)
        return given

    def _give_text(self, chunk: Content, given: Block) -> None:
        if self._held is not None and self._held.part != chunk.part:
            given += self.release()
        text = chunk.text if self._held is None else self._held.text + chunk.text
        whole = whole_words(text)
        self._held = None if whole == len(text) else Content(content=text[whole:], part=chunk.part)
        if whole or chunk.extra is not None or chunk.alt is not None:
            now = text[:whole]
            self._note(now, chunk.part)
            given.append(chunk if now == chunk.content else msgspec.structs.replace(chunk, content=now))

    def _note(self, text: str, part: int | None) -> None:
        self.part = part
        self._size += len(text)
        if self._size > MOST_CHARACTERS:
            self.can_go_on = False
            self._texts.clear()
        if self.can_go_on:
            self._texts.append(text)

    def release(self) -> Block:
        """Return what was held back, to be given now."""
        held, self._held = self._held, None
        if held is None:
            return []
        self._note(held.text, held.part)
        return [held]

    def forget(self) -> None:
        """Drop what was held back: the answer that goes on says it again."""
        self._held = None


class Continued:
    """Another answer, less what the reader has: its reasoning, its begin, and whatever of the text it repeats.

    Args:
        matcher: Finds where its text is new.
        switched: What to give before all else.
        given: What the reader has.

    Attributes:
        matcher: The same; while its ``state`` is ``open`` nothing is given.
    """

    def __init__(self, matcher: Matcher, switched: Switched, given: Given) -> None:
        self.matcher = matcher
        self._held: Block = [switched]
        self._part = given.part
        self._parts = given.parts
        self._goes_on = bool(given.text)
        self._first: int | None = None
        self._has_text = False

    def feed(self, block: Block) -> Block:
        """Take a block; return what of it, and of the blocks before it, is new.

        Args:
            block: Chunks; an ``End`` stays with the caller.
        """
        new: Block = []
        for chunk in block:
            if isinstance(chunk, RawResponse) and not self._is_known(chunk):
                if self.matcher.state == "open":
                    new += self._match(chunk)
                elif self.matcher.state == "joined":
                    new.append(self._place(chunk))
        return new

    def finish(self) -> Block:
        """Return what is left to be given of an answer that is over."""
        return self._joined(self.matcher.finish()) if self.matcher.state == "open" else []

    def _is_known(self, chunk: RawResponse) -> bool:
        """Tell what the reader is not given a second time; the text's part was begun already."""
        if self._goes_on and isinstance(chunk, PartStart) and chunk.kind == "text" and not self._has_text:
            self._first, self._has_text = chunk.part, True
            return True
        of_reasoning = isinstance(chunk, PartStart | PartEnd) and chunk.kind == "reasoning"
        return of_reasoning or isinstance(chunk, Reasoning | Start | Switched)

    def _match(self, chunk: RawResponse) -> Block:
        if isinstance(chunk, Content) and _is_plain(chunk):
            if not self._has_text:
                self._first, self._has_text = chunk.part, True
            return self._joined(self.matcher.feed(chunk.text))
        if isinstance(chunk, (*_ENDING, Content)):  # the text is over
            new = self.finish()
            return [*new, self._place(chunk)] if self.matcher.state == "joined" else []
        if not isinstance(chunk, Logprobs):  # which are of words that may be skipped
            self._held.append(chunk)
        return []

    def _joined(self, text: str) -> Block:
        if self.matcher.state != "joined":
            return []
        new, self._held = [self._place(each) if isinstance(each, RawResponse) else each for each in self._held], []
        return [*new, self._place(Content(content=text, part=self._first))] if text else new

    def _place(self, chunk: RawResponse) -> RawResponse:
        """Number a part so that it follows those the reader has; its first text belongs to their last."""
        changes: dict[str, Any] = {}
        if isinstance(chunk, Citation):  # they count from the begin of a text that the reader has otherwise
            changes = {"start": None, "end": None}
        if "part" in getattr(chunk, "__struct_fields__", ()):
            number = getattr(chunk, "part", None)
            is_text = isinstance(chunk, Content | Citation | Logprobs) or getattr(chunk, "kind", None) == "text"
            if is_text and not self._has_text:
                self._first, self._has_text = number, True
            if self._goes_on and is_text and number == self._first:
                number = self._part
            elif isinstance(number, int):
                number += self._parts
            changes["part"] = number
        return msgspec.structs.replace(chunk, **changes) if changes else chunk  # type: ignore[type-var]
