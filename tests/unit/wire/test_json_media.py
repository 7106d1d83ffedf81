from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from backstream.errors import InvalidRequestError
from backstream.wire.json_media import (
    JSONMediaDecoder,
    MediaBegin,
    MediaData,
    MediaEnd,
)

BYTES = bytes(range(256))
BASE64 = base64.b64encode(BYTES).decode()
URI = "data:image/png;base64," + BASE64


class Taken:
    """What a decoder made of a text, with the media joined."""

    def __init__(self, blocks: list[bytes], **caps: int) -> None:
        self.decoder = JSONMediaDecoder("gap", **{"min_divert_bytes": 40, **caps})
        self.media: list[bytes] = []
        self.headers: list[str] = []
        self.ends = 0
        for block in blocks:
            for event in self.decoder.feed(block):
                match event:
                    case MediaBegin(index, header, placeholder):
                        assert index == len(self.media) == self.ends
                        assert placeholder == f"gap:{index}"
                        self.media.append(b"")
                        self.headers.append(header)
                    case MediaData(data):
                        assert data
                        self.media[-1] += data
                    case MediaEnd():
                        self.ends += 1
        self.rest = bytes(self.decoder.finish())
        assert self.ends == len(self.media)

    def outcome(self) -> tuple[bytes, list[bytes], list[str]]:
        return self.rest, self.media, self.headers


def feed_all(blocks: list[bytes], decoder: JSONMediaDecoder | None = None) -> None:
    decoder = decoder or JSONMediaDecoder("gap")
    for block in blocks:
        decoder.feed(block)


def cuts(text: bytes) -> Iterator[list[bytes]]:
    yield [text]
    yield [text[i : i + 1] for i in range(len(text))]
    for cut in range(len(text) + 1):
        yield [text[:cut], text[cut:]]


def test_media_are_taken_out_under_all_cuts() -> None:
    text = json.dumps({"model": "m", "media": [[URI, "a.png"], ["https://x.example/", None], [URI, None]], "n": 1})
    expected = text.replace(URI, "gap:0", 1).replace(URI, "gap:1").encode()
    for blocks in cuts(text.encode()):
        assert Taken(blocks).outcome() == (expected, [BYTES, BYTES], ["image/png", "image/png"])


@pytest.mark.parametrize(
    "written",
    [
        URI.replace("/", "\\/"),
        URI.replace("+", "\\u002b").replace("/", "\\u002F").replace("=", "\\u003d"),
        "".join(f"\\u{ord(c):04x}" for c in URI),
        URI.replace("data:", "DATA:").replace("base64", "Base64"),
    ],
)
def test_escapes_are_undone_under_all_cuts(written: str) -> None:
    text = f'{{"media":[["{written}"]]}}'.encode()
    step = 1 if len(text) < 1000 else 7
    for blocks in list(cuts(text))[::step]:
        assert Taken(blocks, min_divert_bytes=200).outcome() == (b'{"media":[["gap:0"]]}', [BYTES], ["image/png"])


def test_a_header_may_hold_quotes() -> None:
    text = '{"media":[["data:text/plain;x=\\"y\\";base64,' + "A" * 100 + '"]]}'
    for blocks in cuts(text.encode()):
        assert Taken(blocks).outcome() == (b'{"media":[["gap:0"]]}', [bytes(75)], ['text/plain;x="y"'])


def test_the_key_may_be_written_with_escapes_and_come_twice() -> None:
    text = f'{{"x":"media","\\u006dedi\\u0061" : [["{URI}"]] , "media":[["{URI}"]]}}'.encode()
    for blocks in cuts(text):
        assert Taken(blocks).media == [BYTES, BYTES]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"messages":[["{URI}"]]}}',
        f'{{"messages":[{{"role":"user","content":"say \\"media\\"","media":[["{URI}"]]}}]}}',
        f'{{"media":["{URI}"]}}',
        f'{{"media":"{URI}"}}',
        f'{{"media":[{{"{URI}":"{URI}"}}]}}',
        f'{{"media":[[["{URI}"]]]}}',
        f'{{"media":{{"a":["{URI}"]}}}}',
        f'{{"media":[],"other":[["{URI}"]]}}',
        f'{{"media":[1],"x":{{"media":[["{URI}"]]}}}}',
        f'{{"{"media" * 20}":[["{URI}"]]}}',
        f'[["media",["{URI}"]]]',
        f'"{URI}"',
        '{"media":[["data:image/png;base64,AAAA","short"]]}',
        '{"media":[["data:text/plain,' + "a" * 100 + '"]]}',
        '{"media":[["data:text/plain;x=é;base64,' + "A" * 100 + '"]]}',
        '{"media":[["https://example.org/' + "a" * 100 + '", "n\\\\", "\\\\' + "b" * 100 + '\\""]]}',
        '{"media":[["\\' + "uD83D" * 20 + '"]]}',
        "{}",
        "[]",
        "",
        "{",
        '"',
        '{"a":"\\',
    ],
)
def test_all_else_stays_as_it_is_under_all_cuts(text: str) -> None:
    for blocks in cuts(text.encode()):
        assert Taken(blocks).outcome() == (text.encode(), [], [])


@pytest.mark.parametrize(
    "payload",
    [
        BASE64 + "A",
        BASE64[:-4] + "=AAA",
        BASE64 + "AAAA",
        BASE64[:100] + "!" + BASE64[101:],
        BASE64[:100] + "\\n" + BASE64[100:],
        BASE64[:100] + "\\\\" + BASE64[100:],
        BASE64[:100] + '\\"' + BASE64[100:],
        BASE64[:100] + "\\u00e9" + BASE64[100:],
        BASE64[:100] + "é" + BASE64[100:],
        BASE64[:100] + "\n" + BASE64[100:],
        BASE64[:100] + " " + BASE64[100:],
        BASE64.replace("+", "-").replace("/", "_"),
        BASE64.rstrip("="),
    ],
)
def test_what_is_not_clean_base64_is_refused_under_all_cuts(payload: str) -> None:
    text = f'{{"media":[["data:image/png;base64,{payload}","x"]]}}'.encode()
    for blocks in cuts(text):
        decoder = JSONMediaDecoder("gap", min_divert_bytes=40)
        with pytest.raises(InvalidRequestError, match="base64") as caught:
            feed_all(blocks, decoder)
        assert decoder.inside_media
        assert not decoder.too_large
        assert payload[:50] not in str(caught.value)


def test_a_text_that_ends_inside_media_is_refused() -> None:
    decoder = JSONMediaDecoder("gap", min_divert_bytes=40)
    decoder.feed(f'{{"media":[["{URI}'.encode())
    with pytest.raises(InvalidRequestError, match="ended inside"):
        decoder.finish()


def test_the_minimum_counts_characters_as_written() -> None:
    for length in range(len(URI) - 2, len(URI) + 3):
        for blocks in cuts(f'{{"media":[["{URI}"]]}}'.encode()):
            assert len(Taken(blocks, min_divert_bytes=length).media) == (length <= len(URI))


def test_only_what_remains_counts_against_the_cap_under_all_cuts() -> None:
    text = f'{{"media":[["{URI}","a"],["{URI}","b"]]}}'.encode()
    rest = b'{"media":[["gap:0","a"],["gap:1","b"]]}'
    for blocks in cuts(text):
        assert Taken(blocks, max_json_bytes=len(rest)).rest == rest
        decoder = JSONMediaDecoder("gap", min_divert_bytes=40, max_json_bytes=len(rest) - 1)
        with pytest.raises(InvalidRequestError, match="larger than the limit of"):
            feed_all(blocks, decoder)
        assert decoder.too_large
        assert not decoder.inside_media


def test_depth_is_capped_under_all_cuts() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('[0,"]",', "]")):
        deep = (opening * 6 + "0" + closing * 6).encode()
        for blocks in cuts(deep):
            assert Taken(blocks, max_depth=6).rest == deep
            with pytest.raises(InvalidRequestError, match="deeper than 5"):
                Taken(blocks, max_depth=5)


def test_a_bracket_too_many_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="never opened"):
        Taken([b"{}]"])


@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (b'{"a":[', b"[{[[]]}],"),
        (b'{"a":[', b'"",'),
        (b'{"a":[', b"1,"),
        (b'{"a":[', b"[],"),
        (b"{", b'"":0,'),
        (b"[", b"0,"),
        (b'{"media":[[', b'"",'),
        (b'{"media":[', b"0,"),
    ],
)
def test_values_are_capped(beginning: bytes, repeated: bytes) -> None:
    for size in (100_000, 3):
        text = beginning + repeated * 1001
        with pytest.raises(InvalidRequestError, match="too many values"):
            feed_all([text[i : i + size] for i in range(0, len(text), size)], JSONMediaDecoder("gap", max_values=1000))


def test_text_and_innermost_brackets_are_no_values() -> None:
    text = b'{"messages":[' + b'{"a":",,[[,,{{,,\\",,"},' * 1000 + b'"' + b"," * 600_000 + b'"]}'
    assert Taken([text], max_values=2010).rest == text


def test_media_leave_with_the_call_that_brought_them() -> None:
    decoder = JSONMediaDecoder("gap")
    decoder.feed(b'{"media":[["data:video/mp4;base64,')
    assert decoder.feed(b"A" * 1024) == []
    first = decoder.feed(b"A" * 65536)
    assert first[0] == MediaBegin(0, "video/mp4", "gap:0")
    assert decoder.feed(b"A" * 64) == [MediaData(bytes(48))]
    assert decoder.feed(b'"]]}') == [MediaEnd()]
    assert bytes(decoder.finish()) == b'{"media":[["gap:0"]]}'
    assert "48 bytes" in repr(MediaData(bytes(48)))
