"""Of several candidates the first is told, wherever it stands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backstream.chunks import Content
from backstream.dialects.gemini import Gemini
from backstream.reply import End

OTHER = {"index": 1, "content": {"parts": [{"text": "other"}]}, "finishReason": "STOP"}


def first(**members: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": "first"}]}, "finishReason": "STOP", **members}


@pytest.mark.parametrize(
    "candidates", [[OTHER, first(index=0)], [first(index=None)], [None, first()], [first(), OTHER]]
)
def test_the_first_candidate_is_told(candidates: list[Any]) -> None:
    parser = Gemini().stream_parser()
    event = {"responseId": "r", "candidates": candidates}
    block = [*parser.feed(b"data: %b\n\n" % msgspec.json.encode(event)), *parser.finish(framed=True)]
    assert [chunk.content for chunk in block if isinstance(chunk, Content)] == ["first"]
    assert isinstance(block[-1], End)
    assert block[-1].state == "complete"
