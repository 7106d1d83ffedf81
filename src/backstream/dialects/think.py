"""Reasoning that a model writes into its answer, between ``<think>`` and ``</think>``, told apart from the answer.

Only a tag at the very beginning of the answer counts; later ones are the model's text. Knows no dialect.

Source: the chat templates of DeepSeek-R1 and Qwen3, https://huggingface.co/deepseek-ai/DeepSeek-R1 ("Usage
Recommendations") and https://huggingface.co/Qwen/Qwen3-8B; some templates write the opening tag into the prompt, and
then only the closing one is in the answer.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["ThinkSplitter"]

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
_MOST_SPACE: Final = 256  # before the opening tag; a bound, so that held text cannot make the work quadratic


class ThinkSplitter:
    """Split a text that comes in pieces; tags may be cut anywhere.

    White space before and behind the opening tag, and behind the closing one, belongs to the template and is dropped.

    Args:
        opened: Whether the prompt opened the tag already, so that the answer begins inside it. An opening tag at its
            beginning is passed over.
    """

    __slots__ = ("_held", "_opened", "_said", "_state")

    def __init__(self, *, opened: bool = False) -> None:
        self._opened = opened
        self._said = False
        self._state: Literal["start", "inside", "after", "plain"] = "start"
        self._held = ""

    @property
    def settled(self) -> bool:
        """Whether every further piece is answer, and need not be fed."""
        return self._state == "plain"

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Take the next piece.

        Args:
            text: A piece of the answer.

        Returns:
            Texts in order, none of them empty; each with whether it is reasoning.
        """
        text, self._held = self._held + text, ""
        found: list[tuple[bool, str]] = []
        if self._state == "start":
            text = self._read_start(text)
        if self._state == "inside":
            text = self._read_inside(text, found)
        if self._state == "after":
            text = text.lstrip()
            self._state = "plain" if text else "after"
        if self._state == "plain" and text:
            found.append((False, text))
        return found

    def _read_start(self, text: str) -> str:
        begin = text.lstrip()
        few = len(text) - len(begin) <= _MOST_SPACE
        if few and len(begin) < len(_OPEN) and _OPEN.startswith(begin):
            self._held = text
            return ""
        if few and begin.startswith(_OPEN):
            self._state = "inside"
            return begin[len(_OPEN) :]
        self._state = "inside" if self._opened else "plain"
        return text

    def _read_inside(self, text: str, found: list[tuple[bool, str]]) -> str:
        """Give reasoning up to the closing tag; hold back what may be that tag's beginning."""
        if not self._said:
            text = text.lstrip()
        before, tag, after = text.partition(_CLOSE)
        if tag:
            self._state = "after"
        else:
            sizes = range(min(len(_CLOSE) - 1, len(text)), 0, -1)
            held = next((size for size in sizes if text.endswith(_CLOSE[:size])), 0)
            before, self._held = text[: len(text) - held], text[len(text) - held :]
        if before:
            self._said = True
            found.append((True, before))
        return after

    def finish(self) -> list[tuple[bool, str]]:
        """Say that the answer is over; give what was held back."""
        held, self._held = self._held, ""
        inside = self._state == "inside" or (self._state == "start" and self._opened)
        self._state = "plain"
        return [(inside, held)] if held else []
