"""What a reader at a terminal is shown of media: the words around them."""

from __future__ import annotations

import pytest

from backstream.cli.views import _without_data_uris


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A cat: ![a cat](data:image/png;base64,AAAA) there", "A cat:  there"),
        ('<video src="data:video/mp4;base64,AAAA" controls></video>', "</video>"),
        ("[a page](https://example.org/) and <b>bold</b>", "[a page](https://example.org/) and <b>bold</b>"),
    ],
)
def test_data_uris_are_left_out(text: str, shown: str) -> None:
    assert _without_data_uris(text) == shown


@pytest.mark.parametrize("piece", ["<a", "a", "<adata:", "[", "![](data:", "[](data:a", "](data:", "data:"])
def test_markup_without_end_is_searched_once(piece: str) -> None:
    """A search that looks again at every character for every other one would not come to an end here."""
    text = "<a" + piece * 300_000
    assert _without_data_uris(text) == text
