"""That a test shows every capability the Responses API offers, in both directions."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOT_OFFERED = runpy.run_path(str(HERE / "capabilities.py"))["NOT_OFFERED"]
OFFERED = {
    *("text", "system", "multi-turn", "sampling", "logprobs", "usage", "cached-usage", "finish"),
    *("image-in", "document-in", "media-by-url", "media-by-file-id", "streamed-media-upload", "image-out"),
    *("tools", "tool-choice", "parallel-tools", "tool-results", "tool-result-media", "structured-output"),
    *("reasoning", "reasoning-opaque", "citations", "refusal", "ids", "errors", "stream-errors", "done-evidence"),
    *("models", "token-count", "cache-control"),
}


@pytest.mark.parametrize("direction", ["provider", "server"])
def test_every_capability_has_a_test(direction: str) -> None:
    source = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    shown = set(re.findall(rf'capability\(NAME, "([a-z-]+)", "{direction}"\)', source))
    if direction == "provider":  # marks of the table of recorded streams
        table = runpy.run_path(str(HERE / "test_responses_recorded.py"))["CAPABILITIES"]
        shown |= {name for names in table.values() for name in names}
    assert shown == OFFERED
    assert not shown & set(NOT_OFFERED)
