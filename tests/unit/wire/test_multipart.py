from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import InvalidRequestError
from backstream.wire.multipart import (
    Base64Decoder,
    FormEvent,
    MultipartDecoder,
    PartBegin,
    PartData,
    PartEnd,
    parse_boundary,
    parse_urlencoded,
)

DATA = Path(__file__).parents[2] / "data" / "multipart" / "cases.json"
CASES: list[dict[str, Any]] = json.loads(DATA.read_text())
FORM = 'Content-Disposition: form-data; name="n"'


def joined(events: list[FormEvent]) -> list[FormEvent]:
    """Join neighbouring pieces of content: how it is cut is no part of the meaning."""
    result: list[FormEvent] = []
    for event in events:
        assert event != PartData(b"")
        if isinstance(event, PartData) and result and isinstance(result[-1], PartData):
            result[-1] = PartData(result[-1].data + event.data)
        else:
            result.append(event)
    return result


def decode(blocks: list[bytes], boundary: bytes, **caps: int) -> list[FormEvent]:
    decoder = MultipartDecoder(boundary, **caps)
    events = [event for block in blocks for event in decoder.feed(block)]
    decoder.finish()
    return joined(events)


def cuts(message: bytes) -> Iterator[list[bytes]]:
    yield [message]
    yield [message[i : i + 1] for i in range(len(message))]
    for cut in range(len(message) + 1):
        yield [message[:cut], message[cut:]]


def form(*heads_and_contents: tuple[str, bytes]) -> bytes:
    parts = b"".join(
        b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in heads_and_contents
    )
    return parts + b"--b--\r\n"


def one(head: str) -> PartBegin:
    begin = decode([form((head, b"x"))], b"b")[0]
    assert isinstance(begin, PartBegin)
    return begin


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_outside_messages_decode_as_expected_under_all_cuts(case: dict[str, Any]) -> None:
    message, boundary = base64.b64decode(case["message"]), case["boundary"].encode()
    for blocks in cuts(message):
        if isinstance(case["expected"], dict):
            with pytest.raises(InvalidRequestError):
                decode(blocks, boundary)
            continue
        expected: list[FormEvent] = []
        for part in case["expected"]:
            content = base64.b64decode(part["data"])
            expected += [PartBegin(part["name"], part.get("file_name")), *([PartData(content)] if content else [])]
            expected.append(PartEnd())
        events = decode(blocks, boundary)
        types = [event.content_type for event in events if isinstance(event, PartBegin) and event.filename is not None]
        assert types == [part["content_type"] for part in case["expected"] if part["type"] == "file"]
        bare = [PartBegin(e.name, e.filename) if isinstance(e, PartBegin) else e for e in events]
        assert bare == expected


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 30


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (form((FORM, b"")), [PartBegin("n"), PartEnd()]),
        (b"--b\r\n" + FORM.encode() + b"\r\n\r\n--b--", [PartBegin("n"), PartEnd()]),
        (b"--b \t\r\n" + FORM.encode() + b"\r\n\r\n\r\n--b--", [PartBegin("n"), PartEnd()]),
        (form((FORM, b"\r")), [PartBegin("n"), PartData(b"\r"), PartEnd()]),
        (form((FORM, b"\r\n--b" + b" " * 65)), [PartBegin("n"), PartData(b"\r\n--b" + b" " * 65), PartEnd()]),
        (form((FORM, b"\r\n--b\r\r\n--\r\n--a")), [PartBegin("n"), PartData(b"\r\n--b\r\r\n--\r\n--a"), PartEnd()]),
    ],
)
def test_delimiters_are_found_under_all_cuts(message: bytes, expected: list[FormEvent]) -> None:
    for blocks in cuts(message):
        assert decode(blocks, b"b") == expected


def test_data_behind_the_end_is_ignored() -> None:
    assert decode([form(), b"--b\r\njunk"], b"b") == []


@pytest.mark.parametrize(
    ("parameters", "name", "filename"),
    [
        ('name="a"', "a", None),
        ("name=a", "a", None),
        ('NAME = "a" ; FileName = "x.png" ;', "a", "x.png"),
        ('name="a;b"; filename="c; d=e.png"', "a;b", "c; d=e.png"),
        (r'name="a"; filename="say \"hi\" \\ now.png"', "a", r'say "hi" \ now.png'),
        ('name="a"; filename="say %22hi%22%0D%0A.png"', "a", 'say "hi"%0D%0A.png'),
        (r'name="a"; filename="C:\temp\new.png"', "a", r"C:\temp\new.png"),
        ('name="файл"; filename="снимок 1.png"', "файл", "снимок 1.png"),
        ("name=a; filename=\"x\"; filename*=utf-8''%D1%84%20%27.png", "a", "ф '.png"),
        ("name=a; filename*=ISO-8859-1'en'%e4.png", "a", "ä.png"),
        ("name=a; filename*=UTF-8''%ff.png", "a", "\ufffd.png"),
        ('name=""; filename=""', "", ""),
    ],
)
def test_names_are_read_as_browsers_and_libraries_write_them(parameters: str, name: str, filename: str | None) -> None:
    assert one(f"Content-Disposition: form-data; {parameters}") == PartBegin(name, filename)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "Content-Type: image/png",
        "Content-Disposition: form-data",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data; filename=a",
        "Content-Disposition: form-data; name=a; name=b",
        'Content-Disposition: form-data; name="a',
        'Content-Disposition: form-data; name="a" b',
        "Content-Disposition: form-data; name=a; filename*=a.png",
        "Content-Disposition: form-data; name=a; filename*=koi8-r''%C1.png",
        "Content-Disposition: form-data; name=a; filename*=utf-8''x%0D%0Ay",
        "Content-Disposition: form-data; name=a; filename*=utf-8''x%00y",
        "Content-Disposition: form-data; name=a\x00b",
        "Content-Disposition: form-data; name=a\nX: y",
        f"{FORM}\r\n folded: line",
        f"{FORM}\r\n{FORM}",
        f"{FORM}\r\nContent-Transfer-Encoding: x-uuencode",
    ],
)
def test_malformed_heads_are_refused_and_not_echoed(head: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        one(head)
    assert "name=" not in str(caught.value)


def test_no_cut_lets_a_line_end_into_a_name() -> None:
    message = form((FORM.replace('"n"', '"a\rb"'), b"x"))
    for blocks in cuts(message):
        with pytest.raises(InvalidRequestError):
            decode(blocks, b"b")


def test_transfer_encodings_are_undone_under_all_cuts() -> None:
    message = form(
        (f"{FORM}\r\nContent-Transfer-Encoding: base64", b"AAEC\r\nAwQ\r\n=\r\n"),
        (f"{FORM}\r\nContent-Transfer-Encoding: Quoted-Printable", b"a=3Db=\r\nc=0D"),
        (f"{FORM}\r\nContent-Transfer-Encoding: binary", b"=\x00"),
    )
    for blocks in cuts(message):
        contents = [event.data for event in decode(blocks, b"b") if isinstance(event, PartData)]
        assert contents == [b"\x00\x01\x02\x03\x04", b"a=bc\r", b"=\x00"]


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("base64", b"AAE"),
        ("base64", b"A!EC"),
        ("base64", b"AA==AAAA"),
        ("base64", b"AA==A"),
        ("quoted-printable", b"a=ZZ"),
        ("quoted-printable", b"a=3"),
        ("quoted-printable", b"a=\n"),
    ],
)
def test_bad_transfer_encodings_are_refused_under_all_cuts(encoding: str, content: bytes) -> None:
    for blocks in cuts(form((f"{FORM}\r\nContent-Transfer-Encoding: {encoding}", content))):
        with pytest.raises(InvalidRequestError):
            decode(blocks, b"b")


def test_padding_ends_base64() -> None:
    decoder = Base64Decoder()
    assert decoder.feed(b"AA==") == b"\x00"
    assert decoder.feed(b"") == b""
    for more in (b"A", b"AAAA"):
        with pytest.raises(InvalidRequestError):
            decoder.feed(more)


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"--b", b"--b\r\n", b"--b\r\n" + FORM.encode() + b"\r\n\r\nx\r\n--b-"]
)
def test_a_cut_off_form_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="closing boundary"):
        decode([message], b"b")


def test_heads_are_capped_even_when_they_never_end() -> None:
    long = f"{FORM}\r\nX: " + "x" * 200
    assert decode([form((long, b""))], b"b") == [PartBegin("n"), PartEnd()]
    for blocks in ([form((long, b""))], [b"--b\r\n", b"x" * 100, b"x" * 100]):
        with pytest.raises(InvalidRequestError, match="over 100 bytes"):
            decode(blocks, b"b", max_head_bytes=100)


def test_parts_are_capped() -> None:
    assert len(decode([form(*[(FORM, b"")] * 2)], b"b", max_parts=2)) == 4
    with pytest.raises(InvalidRequestError, match="too many parts"):
        decode([form(*[(FORM, b"")] * 3)], b"b", max_parts=2)


def test_content_leaves_with_the_call_that_brought_it() -> None:
    decoder = MultipartDecoder(b"b")
    decoder.feed(b"--b\r\n" + FORM.encode() + b"\r\n\r\n")
    assert decoder.feed(b"x" * 1000) == [PartData(b"x" * 1000)]
    assert decoder.feed(b"y\r\n--") == [PartData(b"y")]
    assert decoder.feed(b"z") == [PartData(b"\r\n--z")]
    assert "1000 bytes" in repr(PartData(b"x" * 1000))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; Boundary="a b:c"', b"a b:c"),
        (
            "multipart/form-data;boundary=----WebKitFormBoundaryTkr3kCBQlBe1nrhc",
            b"----WebKitFormBoundaryTkr3kCBQlBe1nrhc",
        ),
    ],
)
def test_boundaries_are_read(content_type: str, boundary: bytes) -> None:
    assert parse_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "parameter", ["", "; boundary=", '; boundary="a "', "; boundary=" + "a" * 71, '; boundary="ä"']
)
def test_bad_boundaries_are_refused(parameter: str) -> None:
    with pytest.raises(InvalidRequestError, match="boundary"):
        parse_boundary("multipart/form-data" + parameter)


def test_urlencoded_fields() -> None:
    assert parse_urlencoded(b"a=1+2&b=%D1%84&a=&c&d=%ff\xff") == [
        ("a", "1 2"),
        ("b", "ф"),
        ("a", ""),
        ("c", ""),
        ("d", "\ufffd\ufffd"),
    ]
    with pytest.raises(InvalidRequestError, match="more than 2 fields"):
        parse_urlencoded(b"a=&b=&c=", max_fields=2)
