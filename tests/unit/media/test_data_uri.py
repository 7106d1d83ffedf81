"""`data:` URIs: the rows of web-platform-tests as browsers read them, and the listed ones that a server refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.errors import InvalidMediaError
from backstream.media import DataURI, decode_data_uri, encode_data_uri, is_data_uri
from backstream.media.base64_text import decode_forgiving, decode_strict

VECTORS = Path(__file__).parents[2] / "data" / "wpt-data-urls"
URIS = [(case[0], case[1], bytes(case[2]) if len(case) > 2 else None) for case in json.loads((VECTORS / "data-urls.json").read_text("utf-8"))]
BASE64 = [(text, None if out is None else bytes(out)) for text, out in json.loads((VECTORS / "base64.json").read_text("utf-8"))]

# The rows that strict reading accepts; it refuses every other one.
STRICTLY_ACCEPTED = """PLACEHOLDER"""


@pytest.mark.parametrize(("uri", "media_type", "data"), URIS, ids=[repr(case[0]) for case in URIS])
def test_as_browsers_read_them(uri, media_type, data):
    if media_type is None:
        with pytest.raises(InvalidMediaError):
            decode_data_uri(uri)
    else:
        assert decode_data_uri(uri) == (media_type, data)
