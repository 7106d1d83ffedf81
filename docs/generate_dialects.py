"""Write ``docs/dialects.md``: what each dialect can say, cell by cell, each backed by the tests that show it.

Run ``python docs/generate_dialects.py`` after marking a test ``@pytest.mark.capability(dialect, name, direction)``.
What a vendor does not offer is said in ``NOT_OFFERED`` beside its tests, with the reason. ``--check`` only compares.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "dialects.md"
DIALECTS = ("backend_api", "openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")
DIRECTIONS = {"provider": "towards back-ends", "server": "towards clients"}
CAPABILITIES = {
    "text": "Text",
    "system": "System and developer messages",
    "multi-turn": "Several turns",
    "names": "Names of speakers",
    "sampling": "Sampling parameters, token limit",
    "stop": "Stop sequences",
    "seed": "Seed",
    "logprobs": "Log probabilities",
    "image-in": "Images in",
    "audio-in": "Audio in",
    "video-in": "Video in",
    "document-in": "Documents in",
    "media-by-url": "Media by URL",
    "media-by-file-id": "Media by the vendor's file id",
    "streamed-media-upload": "Media read while they are sent",
    "image-out": "Images out",
    "audio-out": "Audio out, with its transcript",
    "tools": "Tool definitions and calls",
    "tool-choice": "Tool choice",
    "parallel-tools": "Parallel tool calls, interleaved",
    "tool-results": "Tool results",
    "tool-result-media": "Media in tool results",
    "reasoning": "Reasoning",
    "reasoning-opaque": "Signatures and hidden reasoning, kept for the next turn",
    "structured-output": "Answers by a JSON schema",
    "usage": "Usage",
    "cached-usage": "Cached tokens",
    "finish": "Finish reasons",
    "citations": "Citations",
    "refusal": "Refusals of the model",
    "ids": "Response id, model that answered",
    "errors": "Errors",
    "stream-errors": "Errors inside a stream",
    "done-evidence": "The word for done",
    "models": "Lists of models",
    "token-count": "Counting tokens beforehand",
    "cache-control": "Cache marks",
}
Key = tuple[str, str, str]


class Found:
    """A pytest plug-in that notes the marks of the tests it collects, and what their modules say is not offered."""

    def __init__(self) -> None:
        self.tests: dict[Key, list[str]] = defaultdict(list)
        self.reasons: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look at every test that was collected."""
        for item in session.items:
            for mark in item.iter_markers("capability"):
                dialect, name, direction = (*mark.args, "provider")[:3]
                if dialect not in DIALECTS or name not in CAPABILITIES or direction not in DIRECTIONS:
                    self.problems.append(f"{item.nodeid}: no such mark: {mark.args}")
                test = item.nodeid.partition("[")[0]
                if test not in self.tests[dialect, name, direction]:
                    self.tests[dialect, name, direction].append(test)
        for file in sorted((ROOT / "tests" / "unit" / "dialects").glob("**/*.py")):
            if "NOT_OFFERED" in (text := file.read_text("utf-8")) and "runpy" not in text:
                self._note_reasons(file)

    def _note_reasons(self, file: Path) -> None:
        """A file says for the dialect its folder is named after, or ``backend_api``, what is not offered."""
        dialect = file.parent.name if file.parent.name in DIALECTS else "backend_api"
        for name, reason in runpy.run_path(str(file))["NOT_OFFERED"].items():
            if name not in CAPABILITIES:
                self.problems.append(f"{file.name}: no such capability: {name}")
            self.reasons[dialect, name] = reason


def collect() -> Found:
    """Collect the marks of all tests of dialects, without running one."""
    found = Found()
    sys.path.insert(0, str(ROOT / "tests"))  # where the tests' own modules are
    tests = ["tests/unit/dialects", "tests/property"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", *tests], plugins=[found])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the tests cannot be collected:\n{said.getvalue()}")
    return found


def render(found: Found) -> str:
    """Write the page."""
    lines = [
        "# Dialects and what they can say",
        "",
        "Made by `python docs/generate_dialects.py` from the marks of the tests; a test holds it up to date. **yes**:",
        "a test shows it, listed below. **–**: the vendor's protocol does not offer it, see the reasons.",
    ]
    for direction, title in DIRECTIONS.items():
        lines += [
            "",
            f"## {title.capitalize()}",
            "",
            f"| | {' | '.join(DIALECTS)} |",
            "|---" * (len(DIALECTS) + 1) + "|",
        ]
        for name, label in CAPABILITIES.items():
            cells = [_cell(found, dialect, name, direction) for dialect in DIALECTS]
            lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += ["", "## Not offered, and why", ""]
    for dialect in DIALECTS:
        for name, label in CAPABILITIES.items():
            if (dialect, name) in found.reasons:
                lines.append(f"- {dialect}, {label.lower()}: {found.reasons[dialect, name]}")
    lines += ["", "## The tests"]
    for dialect in DIALECTS:
        lines += ["", f"### {dialect}", ""]
        for name, label in CAPABILITIES.items():
            shown = [_tests(found.tests.get((dialect, name, direction), ()), direction) for direction in DIRECTIONS]
            if any(shown):
                lines.append(f"- {label}: {'; '.join(filter(None, shown))}")
    return "\n".join(lines) + "\n"


def _cell(found: Found, dialect: str, name: str, direction: str) -> str:
    if found.tests.get((dialect, name, direction)):
        return "yes"
    return "–" if (dialect, name) in found.reasons else "**?**"


def _tests(tests: Sequence[str], direction: str) -> str:
    if not tests:
        return ""
    names = [test.rpartition("::")[2] for test in tests[:2]]
    return f"{direction} " + ", ".join(f"`{name}`" for name in names)


def empty_cells(found: Found) -> list[str]:
    """Return the cells that neither a test nor a reason fills."""
    return [
        f"{dialect}: {name} ({direction})"
        for dialect in DIALECTS
        for name in CAPABILITIES
        for direction in DIRECTIONS
        if _cell(found, dialect, name, direction) == "**?**"
    ]


def main() -> None:
    """Write the page, or compare it."""
    os.chdir(ROOT)
    found = collect()
    page = render(found)
    if "--check" in sys.argv[1:]:
        problems = [*found.problems, *(f"empty cell: {cell}" for cell in empty_cells(found))]
        if page != PAGE.read_text("utf-8"):
            problems.append("docs/dialects.md is old; run: python docs/generate_dialects.py")
        sys.exit("\n".join(problems) or None)
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
