import pathlib

import pytest

from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.testing.chop import check_cuts
from backstream.wire.jsonlines import JSONLinesDecoder
from backstream.wire.sse import SSEDecoder, encode_sse

FOLDER = pathlib.Path(__file__).parents[2] / "data" / "jsontestsuite"
FILES = sorted(FOLDER.glob("test_*/*.json"))


def test_all_files_are_there():
    assert len(FILES) == 340


@pytest.mark.parametrize("decoder", [SSEDecoder, JSONLinesDecoder, TolerantDecoder])
@pytest.mark.parametrize("form", ["bare", "line", "data line", "event"])
def test_any_text_in_any_framing_is_framed_alike_under_every_cut(decoder, form):
    for path in FILES:
        text = path.read_bytes()
        stream = {
            "bare": text,
            "line": text + b"\n",
            "data line": b"data: " + text + b"\n\n",
            "event": encode_sse(text, type="content"),
        }[form]
        check_cuts(decoder, stream, samples=20)


def test_a_text_comes_through_an_event_unchanged():
    for path in FILES:
        text = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert TolerantDecoder().feed(encode_sse(text)) == ([text] if text else [])
