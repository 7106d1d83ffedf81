"""Live Markdown against a small screen: whatever the cuts, what stays is what the whole text renders to."""

from __future__ import annotations

import io
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rich", reason="rich is an extra")

from backstream.cli.markdown import LiveMarkdown, render_lines, split_finished
from backstream.cli.terminal import harmless

LONG = "\n".join(
    [
        "# Title\n",
        "Some **bold** text with 日本語 and 😀, long enough to be wrapped at forty columns in any case.\n",
        *(f"- item {number} of a list taller than the screen" for number in range(30)),
        "\n```python",
        *(f"line = {number}" for number in range(30)),
        "```\n",
        "| a | b |\n|---|---|\n| 1 | 日本 |\n",
        "1. first\n2. second\n",
        "> quoted\n> more\n",
        "List<String> stays, and `code`.\n",
        "The end.",
    ]
)


class Screen(io.StringIO):
    """A terminal that understands what we send, and nothing else; rows that scroll off are kept."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.columns = columns
        self.rows = rows
        self.lines = [""]
        self.row = self.column = 0
        self.hidden = 0  # rows scrolled off
        self.wraps = True

    def write(self, text: str) -> int:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        for piece in re.findall(r"\x1b\[\??[0-9]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
            self._take(piece)
        return len(text)

    def _take(self, piece: str) -> None:
        if piece == "\n":
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.lines):
                self.lines.append("")
            self.hidden = max(self.hidden, self.row - self.rows + 1)
        elif piece == "\r":
            self.column = 0
        elif piece == "\x1b[J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif piece.endswith("A"):
            self.row -= int(piece[2:-1])
            assert self.row >= self.hidden, "the cursor cannot go up into what has scrolled off"
        elif piece in ("\x1b[?7l", "\x1b[?7h"):
            self.wraps = piece.endswith("h")
        else:
            assert "\x1b" not in piece, f"unknown sequence {piece!r}"
            self.lines[self.row] = self.lines[self.row][: self.column] + piece
            self.column += len(piece)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.lines]


def whole(text: str, columns: int) -> list[str]:
    """The lines of each block, a blank line between."""
    blocks, rest = split_finished(text)
    lines: list[str] = []
    for block in (*blocks, rest):
        rendered = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in render_lines(block, columns)]
        lines += ["", *rendered] if lines and rendered else rendered
    return [*lines, ""]


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch):
    def set_size(columns: int, rows: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))
        monkeypatch.setenv("TERM", "xterm-256color")

    return set_size


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (80, 24), (20, 5), (12, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_any_cut_leaves_the_same_text(size, columns: int, rows: int, seed: int) -> None:
    size(columns, rows)
    cuts = random.Random(seed)
    screen = Screen(columns, rows)
    live = LiveMarkdown(screen)
    rest = LONG
    while rest:
        cut = cuts.randint(1, 60)
        live.feed(rest[:cut])
        rest = rest[cut:]
        if cuts.random() < 0.7:
            live.draw()
        if cuts.random() < 0.1:
            live.clear()
    live.finish()
    assert screen.shown == whole(LONG, columns)
    assert screen.wraps


def test_a_drawing_is_never_taller_than_the_screen(size) -> None:
    size(40, 8)
    screen = Screen(40, 8)
    live = LiveMarkdown(screen)
    live.feed("\n".join(f"- item {number}" for number in range(50)))
    live.draw()
    assert len(screen.shown) == 7
    assert screen.shown[0] == "⋮"
    assert screen.shown[-1].endswith("item 49")


def test_a_block_too_long_to_be_drawn_again_and_again_shows_its_end(size) -> None:
    size(20, 6)
    text = "```\n" + "".join(f"\tline {number} {'日' * 20}\n" for number in range(1000))
    screen = Screen(20, 6)
    live = LiveMarkdown(screen)
    live.feed(text)
    live.draw()
    assert len(screen.shown) == 5
    assert "line 999" in screen.shown[-2]
    live.finish()
    assert screen.shown == whole(text, 20)


def test_nothing_is_drawn_for_nothing(size) -> None:
    size(40, 8)
    screen = Screen(40, 8)
    live = LiveMarkdown(screen)
    live.draw()
    live.finish()
    assert screen.shown == [""]


def test_blocks_that_can_still_change_are_held() -> None:
    assert split_finished("one\n\ntwo") == (["one\n\n"], "two")
    assert split_finished("one\ntwo") == ([], "one\ntwo")
    assert split_finished("- a\n\n- b\n") == ([], "- a\n\n- b\n")
    assert split_finished("```\ncode\n\nmore") == ([], "```\ncode\n\nmore")
    assert split_finished("a\x0bb\u2028c\n\nd") == (["a\x0bb\u2028c\n\n"], "d")


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab \n#-*>`|_[]()<1.\\~日é\t"), max_size=80))
def test_splitting_loses_nothing(text: str) -> None:
    blocks, rest = split_finished(text)
    assert "".join(blocks) + rest == text
    render_lines(text, 20)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=50))
def test_harmless_text_is_harmless(text: str) -> None:
    for character in harmless(text):
        code = ord(character)
        assert code in (9, 10) or (code >= 0x20 and not 0x7F <= code < 0xA0)
    assert harmless(harmless(text)) == harmless(text)
