"""Codings undone as bytes arrive: any cut gives the same, and growth is bounded."""

from __future__ import annotations

import gzip
import zlib

import pytest

from backstream.errors import DecodeError, TooLargeError
from backstream.testing.chop import chop
from backstream.wire.encoding import FREE_BYTES, MAX_RATIO, ContentDecoder, make_decoder

TEXT = b"data: one\n\ndata: two\n\n" * 3


def raw(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def decode(coding: str, pieces: list[bytes]) -> bytes:
    decoder = ContentDecoder(coding)
    return b"".join([*(decoder.feed(piece) for piece in pieces), decoder.finish()])


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw(TEXT)),
    ],
    ids=["gzip", "two members", "deflate", "raw deflate"],
)
def test_any_cut_gives_the_same(coding: str, coded: bytes) -> None:
    for pieces in chop(coded):
        assert decode(coding, list(pieces)) == TEXT


def test_nothing_is_nothing() -> None:
    assert decode("gzip", []) == b""
    assert decode("gzip", [b""]) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_rubbish_and_cut_bodies_are_decode_errors(coding: str) -> None:
    coded = gzip.compress(TEXT) if coding == "gzip" else zlib.compress(TEXT)
    for pieces in ([b"\xff\xff rubbish"], [coded[:-1]], [coded[:10], b"\xff" * 40], [coded, b"x"]):
        with pytest.raises(DecodeError, match="coding"):
            decode(coding, list(pieces))


def test_growth_is_bounded_by_what_came() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    decoder = ContentDecoder("deflate")
    given = 0
    with pytest.raises(TooLargeError, match="decoded answer"):
        for start in range(0, len(bomb), 1000):
            given += len(decoder.feed(bomb[start : start + 1000]))
    assert given <= FREE_BYTES + MAX_RATIO * 1000


def test_small_bodies_may_grow_at_any_ratio() -> None:
    body = b"\0" * FREE_BYTES
    assert decode("deflate", [zlib.compress(body)]) == body


@pytest.mark.parametrize("value", ["", "identity", " Identity "])
def test_no_coding_needs_no_decoder(value: str) -> None:
    assert make_decoder(value) is None


@pytest.mark.parametrize("value", ["gzip", "X-GZIP", "deflate "])
def test_known_codings(value: str) -> None:
    assert make_decoder(value) is not None


@pytest.mark.parametrize("value", ["br", "zstd", "gzip, br", "gzip,"])
def test_other_codings_are_decode_errors(value: str) -> None:
    with pytest.raises(DecodeError, match="not known"):
        make_decoder(value)
