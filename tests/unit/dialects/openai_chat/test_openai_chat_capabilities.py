"""That a test shows every capability chat completions offer, in both directions."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOT_OFFERED = runpy.run_path(str(HERE / "capabilities.py"))["NOT_OFFERED"]
OFFERED = {
    *(
        "text",
        "system",
        "multi-turn",
        "names",
        "sampling",
        "stop",
        "seed",
        "logprobs",
        "usage",
        "cached-usage",
        "finish",
    ),
    *("image-in", "audio-in", "video-in", "document-in", "media-by-url", "media-by-file-id", "streamed-media-upload"),
    *("image-out", "audio-out", "tools", "tool-choice", "parallel-tools", "tool-results", "structured-output"),
    *("reasoning", "reasoning-opaque", "citations", "refusal", "ids", "errors", "stream-errors", "done-evidence"),
    *("models", "cache-control"),
}


@pytest.mark.parametrize("direction", ["provider", "server"])
def test_every_capability_has_a_test(direction: str) -> None:
    source = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    shown = set(re.findall(rf'capability\(NAME, "([a-z-]+)", "{direction}"\)', source))
    assert shown == OFFERED
    assert not shown & set(NOT_OFFERED)
