"""`data:` URIs: the rows of web-platform-tests as browsers read them, and the listed ones that a server refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.errors import InvalidMediaError
from backstream.media import DataURI, decode_data_uri, encode_data_uri, is_data_uri
from backstream.media.base64_text import decode_forgiving, decode_strict

VECTORS = Path(__file__).parents[2] / "data" / "wpt-data-urls"
URIS = [
    (case[0], case[1], bytes(case[2]) if len(case) > 2 else None)
    for case in json.loads((VECTORS / "data-urls.json").read_text("utf-8"))
]
BASE64 = [
    (text, None if out is None else bytes(out))
    for text, out in json.loads((VECTORS / "base64.json").read_text("utf-8"))
]

# Every row that browsers accept and strict reading refuses, by reason.
REFUSED_WHEN_STRICT = {
    "no type, or a malformed one": """
        data://test/,X | data:,X | data:, | data:,X#X | data:,%FF | data:text/plain ,X | data:text/plain%20,X
        data:text/plain\f,X | data:text/plain%0C,X | data:text/plain;,X | data:;x=x;charset=x,X | data:;x=x,X
        data: ,%FF | data:%20,%FF | data:\f,%FF | data:%1F,%FF | data:\0,%FF | data:%00,%FF | data:text/html  ,X
        data:text / html,X | data:†,X | data:†/†,X | data:X,X | data:text/plain;a=",",X | data:text/plain;a=%2C,X
        data:;base64;base64,WA | data:x/x;base64;base64,WA | data:x/x;base64;charset=x,WA
        data:x/x;base64;charset=x;base64,WA | data:x/x;base64;base64x,WA | data:;base64,W%20A | data:;base64,W%0CA
        data:x;base64x,WA | data:x;base64;x,WA | data:x;base64=x,WA | data:; base64,WA | data:;  base64,WA
        data:  ;charset=x   ;  base64,WA | data:;base64;,WA | data:;base64 ,WA | data:;base64   ,WA
        data:;base 64,WA | data:;BASe64,WA | data:;%62ase64,WA | data:%3Bbase64,WA | data:;charset=x,X
        data:; charset=x,X | data:;charset =x,X | data:;charset= x,X | data:;charset=,X | data:;charset,X
        data:;charset="x",X | data:;CHARSET="X",X
    """,
    "text that is not percent-encoded": """
        data:text/plain,% | data:text/plain,X% | data:text/plain,X%% | data:text/plain;Charset=UTF-8,X%X
        data:text/plain;Charset=UTF-8,X%0 | data:text/plain;Charset=UTF-8,X%0X
        data:text/plain;charset=windows-1252,áñçə💩 | data:text/plain;charset=UTF-8,áñçə💩 | data:image/png,X X
        data:application/javascript,X X | data:application/xml,X X | data:text/javascript,X X | data:text/plain,X X
        data:unknown/unknown,X X
    """,
}
REFUSED = {
    uri
    for table in REFUSED_WHEN_STRICT.values()
    for line in table.strip().split("\n")  # splitlines() would split at the form feed
    for uri in line.strip().split(" | ")
}


@pytest.mark.parametrize(("uri", "media_type", "data"), URIS, ids=[repr(case[0]) for case in URIS])
def test_as_browsers_read_them(uri, media_type, data):
    if media_type is None:
        with pytest.raises(InvalidMediaError):
            decode_data_uri(uri)
    else:
        assert decode_data_uri(uri) == (media_type, data)


@pytest.mark.parametrize(("uri", "media_type", "data"), URIS, ids=[repr(case[0]) for case in URIS])
def test_as_a_server_reads_them(uri, media_type, data):
    if media_type is None or uri in REFUSED:
        with pytest.raises(InvalidMediaError):
            decode_data_uri(uri, strict=True)
    else:
        assert decode_data_uri(uri, strict=True) == (media_type, data)


def test_the_list_of_refused_rows_is_exact():
    assert {uri for uri, media_type, _ in URIS if media_type is not None} >= REFUSED
    assert len(REFUSED) == 67


@pytest.mark.parametrize(("text", "expected"), BASE64, ids=[repr(case[0]) for case in BASE64])
def test_base64_as_browsers_read_it(text, expected):
    if expected is None:
        with pytest.raises(InvalidMediaError):
            decode_forgiving(text.encode())
    else:
        assert decode_forgiving(text.encode()) == expected


# What a server refuses of them: white space, and missing padding.
SLOPPY_BASE64 = {text for text, expected in BASE64 if expected and (set(text) & set("\t\n\f\r ") or len(text) % 4)}


@pytest.mark.parametrize(("text", "expected"), BASE64, ids=[repr(case[0]) for case in BASE64])
def test_base64_as_a_server_reads_it(text, expected):
    if expected is None or text in SLOPPY_BASE64:
        with pytest.raises(InvalidMediaError):
            decode_strict(text)
    else:
        assert decode_strict(text) == expected


def test_the_list_of_sloppy_base64_is_exact():
    assert {text.strip() for text in SLOPPY_BASE64} == {
        "abcd", "ab", "abc", "ab\tcd", "ab\ncd", "ab\fcd", "ab\rcd", "ab cd", "ab\t\n\f\r cd",
        "ab\t\n\f\r =\t\n\f\r =", "/A", "//A", "A/", "AA/", "YQ", "YR",
    }  # fmt: skip


def test_encoding_is_canonical():
    assert encode_data_uri(b"\x00\x01\xff", "IMAGE/PNG") == "data:image/png;base64,AAH/"
    assert encode_data_uri(b"a", "text/plain; charset=utf-8") == "data:text/plain;charset=utf-8;base64,YQ=="


@pytest.mark.parametrize("media_type", ["", "png", "image/", 'image/png";x="', 'a/b;c="d,e"', "a/b#c", "a/b\n", "†/†"])
def test_a_type_that_no_uri_can_hold_is_refused(media_type):
    # A line end after the type is white space, which parsing drops.
    if media_type == "a/b\n":
        assert encode_data_uri(b"", media_type) == "data:a/b;base64,"
        return
    with pytest.raises(InvalidMediaError):
        encode_data_uri(b"", media_type)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("uri", "size"),
    [
        ("data:a/b;base64,AAAA", 3),
        ("data:a/b;base64,AAA=", 2),
        ("data:a/b;base64,AA==", 1),
        ("data:a/b,abc", 3),
        ("data:a/b,%41bc", 3),
    ],
)
def test_the_cap_is_exact(uri, size, strict):
    assert len(decode_data_uri(uri, max_bytes=size, strict=strict).data) == size
    with pytest.raises(InvalidMediaError, match=f"{size} bytes are over the limit of {size - 1} bytes"):
        decode_data_uri(uri, max_bytes=size - 1, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_over_the_cap_nothing_is_decoded(strict):
    # The text after the first megabyte is no base64: seeing that would mean it was decoded.
    uri = "data:a/b;base64," + "A" * 2**20 + "????"
    with pytest.raises(InvalidMediaError, match="limit"):
        decode_data_uri(uri, max_bytes=2**19, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "uri", ["", "http://a/b,c", "dat:", "data:" + "a" * 5000 + ",x", "data:a/b;base64,AA=A", "data:a/b;base64,ÄÖ=="]
)
def test_what_is_no_data_uri_is_refused_without_being_shown(uri, strict):
    with pytest.raises(InvalidMediaError) as caught:
        decode_data_uri(uri, strict=strict)
    assert uri not in str(caught.value) or not uri


def test_percent_decoding_leaves_backslashes_and_lone_percents_alone():
    assert decode_data_uri("data:a/b,\\x41\\\\%5C%5cn%0%%41%zz\\").data == b"\\x41\\\\\\\\n%0%A%zz\\"
    every = bytes(range(256))
    assert decode_data_uri("data:a/b," + "".join(f"%{byte:02x}" for byte in every), strict=True).data == every


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InvalidMediaError):
        decode_data_uri("data:a/b,\ud800")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:,", True),
        (" \nDaTa:x", True),
        ("database", False),
        ("", False),
        ("data", False),
        (" " * 99 + "data:,", False),
    ],
)
def test_what_claims_to_be_one(text, expected):
    assert is_data_uri(text) is expected


def test_the_value_does_not_show_its_bytes():
    uri = DataURI("text/plain;charset=utf-8", b"canary")
    assert "canary" not in repr(uri)
    assert (uri.essence, *uri) == ("text/plain", "text/plain;charset=utf-8", b"canary")
