"""How an answer is shown: text on standard output, everything else on standard error. Knows chunks, not where they
come from.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Log,
    Media,
    Notice,
    PartEnd,
    Preview,
    RawResponse,
    Reasoning,
    Refusal,
    Start,
    Switched,
    ToolCallDelta,
    ToolCalls,
)
from backstream.cli.terminal import Notes, can_style, harmless, is_terminal
from backstream.reply import fold

if TYPE_CHECKING:
    from backstream.cli.markdown import LiveMarkdown

__all__ = ["JSONView", "TextView", "View", "make_view"]

_log = logging.getLogger("backstream.cli")

_FRAME_SECONDS: Final = 0.06
# Neither looks at a character twice, whatever a server sends: Ctrl-C waits for a search to end.
_TAG: Final = re.compile(r"<\w[^<>]*+>")
_LINK: Final = re.compile(r"!?\[[^\[\]]*+\]\(data:[^()]*+\)")
_CONTROLS: Final = re.compile("[\x7f-\x9f]")


class View(Protocol):
    """What shows an answer."""

    def show(self, chunk: RawResponse) -> None:
        """Show one chunk."""
        ...

    def settle(self) -> None:
        """Bring the screen up to what was shown, as the back-end pauses; called after each block."""
        ...

    def note(self, text: str) -> None:
        """Show a line beside the answer."""
        ...

    def finish(self) -> None:
        """End the output; harmless when repeated."""
        ...


def make_view(
    *,
    as_json: bool,
    markdown: bool,
    saved: Mapping[str, str] | None = None,
    tools: Collection[str] = (),
    silent: bool = False,
) -> View:
    """Choose the view for this standard output.

    Args:
        as_json: Raw events, one a line.
        markdown: Whether Markdown may be rendered, where there is a terminal and rich.
        saved: Links to saved media by the data URI of each, as it grows; ``None`` where media are not saved.
        tools: Tools that tell of their calls themselves.
        silent: Whether the answer's text is not shown, but only what is beside it.
    """
    if as_json:
        return JSONView()
    renderer = None
    if markdown and not silent and can_style(sys.stdout):
        with contextlib.suppress(ImportError):  # rich is an extra
            from backstream.cli.markdown import LiveMarkdown

            renderer = LiveMarkdown()
    return TextView(renderer, saved, tools=tools, silent=silent)


class JSONView:
    """Events as they came, one JSON object a line, and nothing else."""

    def show(self, chunk: RawResponse) -> None:
        """Write one event."""
        text = msgspec.json.encode(chunk.get_dict()).decode()
        # JSON escapes C0 only; the others could still reach a terminal
        text = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Write a line to standard error."""
        Notes().line(text)

    def settle(self) -> None:
        """Let what was written out."""
        sys.stdout.flush()

    finish = settle


class TextView:
    """The answer's text, plain or through a Markdown renderer; reasoning, tool calls and notices beside it.

    Args:
        markdown: The renderer; ``None`` for plain text.
        saved: Links to saved media by the data URI of each, as it grows; ``None`` where media are not saved.
        tools: Tools that tell of their calls themselves.
        silent: Whether the answer's text is not shown.
    """

    def __init__(
        self,
        markdown: LiveMarkdown | None,
        saved: Mapping[str, str] | None = None,
        *,
        tools: Collection[str] = (),
        silent: bool = False,
    ) -> None:
        self._markdown = markdown
        self._tools = frozenset(tools)
        self._silent = silent
        self._late: list[RawResponse] = []
        self._saved = saved
        self._notes = Notes()
        self._terminal = is_terminal(sys.stdout)
        self._line_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_frame = 0.0
        self._reasoning = False
        self._ended_early = ""

    def show(self, chunk: RawResponse) -> None:
        """Show one chunk; what a reader need not see goes to the log."""
        if isinstance(chunk, Content):
            self._content(chunk)
        elif isinstance(chunk, Reasoning):
            self._reason(chunk)
        elif isinstance(chunk, Refusal | ToolCallDelta | PartEnd | Citation):
            self._late.append(chunk)
        elif isinstance(chunk, Start):
            self._late.clear()  # another round: the calls of the one before were run
        elif isinstance(chunk, Switched):
            self._tell_switch(chunk)
        else:
            self._show_news(chunk)

    def _show_news(self, chunk: RawResponse) -> None:
        if isinstance(chunk, ToolCalls):
            for call in chunk.tool_calls or ():
                self._tell_call(*_call(call))
        elif isinstance(chunk, Notice):
            self.note(f"notice: {chunk.message or chunk.error or ''}")
        elif isinstance(chunk, Preview):
            self.note(f"preview: {chunk.alt or 'media being made'}")
        elif isinstance(chunk, Media):
            if chunk.media_type or chunk.url:  # else a further piece of it
                self.note(f"media: {chunk.media_type or chunk.url}{self._media_advice}")
        elif isinstance(chunk, Finish):
            if chunk.reason not in (None, "stop", "tool_calls"):
                self._ended_early = chunk.reason or ""
        elif isinstance(chunk, Log):
            _log.info("server: %s", chunk.log)

    def _tell_switch(self, chunk: Switched) -> None:
        """Tell a change of route; what it voids stands above that line for good."""
        anew = chunk.kept == "nothing"
        if anew:
            self._late.clear()
            if self._markdown is not None:
                self._cancel_timer()
                self._markdown.finish()
            elif self._line_open:
                self._write("\n")
                self._flush()
        text = f"switched from {chunk.from_} to {chunk.to}: {chunk.why}"
        self.note(f"{text}; the answer begins anew" if anew else text)

    def settle(self) -> None:
        """Flush plain text; draw Markdown, but not more often than an eye can follow or the machine can bear."""
        if self._markdown is None:
            self._flush()
        elif self._timer is None:
            wait = self._next_frame - time.monotonic()
            if wait <= 0:
                self._draw()
            else:
                self._timer = asyncio.get_running_loop().call_later(wait, self._draw)

    def finish(self) -> None:
        """Print the rest for good, and end the line."""
        self._cancel_timer()
        self._notes.end_line()
        if self._markdown is not None:
            self._markdown.finish()
        elif self._line_open:
            self._write("\n")
        self._flush()
        self._tell_late()
        if self._ended_early:
            self._notes.line(f"the answer ended early: {self._ended_early}")
            self._ended_early = ""

    def _tell_late(self) -> None:
        """Tell what is only known, or only of use, once the answer is over."""
        whole = fold(self._late)
        self._late.clear()
        if whole.refusal is not None:
            self._notes.line(f"the model refused: {whole.refusal}")
        for call in whole.tool_calls:
            self._tell_call(call.name, call.arguments)
        for source in dict.fromkeys(each.url or each.title for each in whole.citations):
            self._notes.line(f"source: {source or 'unnamed'}")

    def _tell_call(self, name: str, arguments: str) -> None:
        if name not in self._tools:
            self.note(f"tool call: {name}({arguments})")

    def _content(self, chunk: Content) -> None:
        text = chunk.text
        if self._terminal and (chunk.urls is not None or chunk.data is not None):
            self.note(f"media: {chunk.alt or 'in the answer'}{self._media_advice}")
            text = _without_data_uris(text)
        elif self._saved:
            text = _with_links(text, chunk, self._saved)
        if not text or self._silent:
            return
        if self._notes.shared:
            self._notes.end_line()
        self._reasoning = False
        if self._markdown is not None:
            self._markdown.feed(harmless(text))
        else:
            self._write(harmless(text) if self._terminal else text)

    @property
    def _media_advice(self) -> str:
        return " (save it with --output DIR)" if self._saved is None else ""

    def _reason(self, chunk: Reasoning) -> None:
        if not self._notes.shows_reasoning:
            return
        text = chunk.token or ""
        status = ": ".join(part for part in (chunk.label, chunk.status) if part)
        if text:
            if not self._reasoning:
                self._make_room()
            self._notes.run_on(text)
            self._reasoning = True
        elif status:
            self.note(status)

    def note(self, text: str) -> None:
        """Write a line on standard error, on a line of its own also where the answer is on the same terminal."""
        self._make_room()
        self._notes.line(text)
        self._reasoning = False

    def _make_room(self) -> None:
        """Have the cursor at the start of a free line, where the answer stands on the same terminal."""
        if not self._notes.shared:
            return
        if self._markdown is not None:
            self._cancel_timer()
            self._markdown.clear()
        elif self._line_open:
            self._write("\n")
            self._flush()

    def _draw(self) -> None:
        self._timer = None
        if self._markdown is not None and not self._reasoning:
            begun = time.monotonic()
            self._markdown.draw()
            now = time.monotonic()
            self._next_frame = now + max(_FRAME_SECONDS, 8 * (now - begun))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        self._line_open = not text.endswith("\n")

    def _flush(self) -> None:
        sys.stdout.flush()


def _call(call: dict[str, object]) -> tuple[str, str]:
    function = call.get("function")
    if not isinstance(function, dict):
        return "?", ""
    return str(function.get("name", "?")), str(function.get("arguments", ""))


def _with_links(text: str, chunk: Content, saved: Mapping[str, str]) -> str:
    """Where media were saved, their files stand in the text instead of all their bytes."""
    for url in fold([chunk]).media_urls:
        if url in saved:
            text = text.replace(url, saved[url])
    return text


def _without_data_uris(text: str) -> str:
    """Media as text is of no use on a screen: keep the words around it."""
    return _LINK.sub("", _TAG.sub(lambda tag: "" if "data:" in tag[0] else tag[0], text)).strip(" ")
