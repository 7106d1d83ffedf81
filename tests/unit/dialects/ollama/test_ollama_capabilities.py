"""That a test shows every capability Ollama offers, in both directions."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOT_OFFERED = runpy.run_path(str(HERE / "test_ollama_request.py"))["NOT_OFFERED"]
OFFERED = {
    *("text", "system", "multi-turn", "sampling", "stop", "seed", "logprobs", "image-in", "streamed-media-upload"),
    *("image-out", "tools", "parallel-tools", "tool-results", "tool-result-media", "reasoning", "structured-output"),
    *("usage", "finish", "ids", "errors", "stream-errors", "done-evidence", "models"),
}


@pytest.mark.parametrize("direction", ["provider", "server"])
def test_every_capability_has_a_test(direction: str) -> None:
    source = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    shown = set(re.findall(rf'capability\(NAME, "([a-z-]+)", "{direction}"\)', source))
    assert shown == OFFERED
    assert not shown & set(NOT_OFFERED)
