"""MIME types, by the rows of web-platform-tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.media.mime import MimeType, parse_mime_type

VECTORS = Path(__file__).parents[2] / "data" / "wpt-mimesniff"


def rows(name: str) -> list[tuple[str, str | None]]:
    cases = json.loads((VECTORS / name).read_text("utf-8"))
    return [(case["input"], case["output"]) for case in cases if isinstance(case, dict)]


@pytest.mark.parametrize(("text", "expected"), rows("mime-types.json"))
def test_rows_written_by_hand(text, expected):
    parsed = parse_mime_type(text)
    assert (None if parsed is None else str(parsed)) == expected


def test_rows_for_every_code_point():
    cases = rows("generated-mime-types.json")
    assert len(cases) > 800
    for text, expected in cases:
        parsed = parse_mime_type(text)
        assert (None if parsed is None else str(parsed)) == expected, text


def test_essence_leaves_the_parameters_out():
    assert parse_mime_type("Text/HTML; Charset=utf-8") == MimeType("text", "html", {"charset": "utf-8"})
    assert MimeType("text", "html", {"charset": "utf-8"}).essence == "text/html"


def test_a_quoted_string_that_ends_in_a_backslash():
    assert str(parse_mime_type('a/b;c="\\')) == 'a/b;c="\\\\"'
