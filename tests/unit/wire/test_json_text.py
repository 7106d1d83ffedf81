"""JSON and half characters, in both directions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backstream.errors import DecodeError
from backstream.wire.json_text import decode_json, encode_json, replace_half_pairs

SMILE = "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"plain \n \u00e9"', "plain \n é"),
        (rb'"\ud83d\uDE00"', SMILE),
        (rb'"\uD83D"', "\ufffd"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00\n"', f"\ufffd{SMILE}\n"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'{"\ud83d": [1e3, "\ud83d"]}', {"\ufffd": [1000.0, "\ufffd"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf"\\ud83d"', "\ufffd"),
    ],
)
def test_half_characters_are_replaced_and_nothing_else(text: bytes, value: Any) -> None:
    assert decode_json(text) == value
    assert decode_json(bytearray(text)) == value
    assert decode_json(text.decode()) == value


def test_half_characters_that_are_no_escapes_are_replaced_too() -> None:
    assert decode_json('"a\ud83d"') == "a\ufffd"
    assert decode_json(f'"{SMILE}\\ud83d\ude00"') == f"{SMILE}\ufffd\ufffd"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"[Infinity]", b'"\xff"', rb'"\ud83"', rb'"\ud83d\ud83"', b'"x' + bytes([92]), rb'\ud83d""'],
)
def test_what_no_repair_makes_json_is_refused(text: bytes) -> None:
    with pytest.raises(DecodeError, match="event 3: not JSON"):
        decode_json(text, index=3)


def test_a_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(DecodeError, match="nested too deeply"):
        decode_json(b"[" * 100_000)
    with pytest.raises(DecodeError, match="nested too deeply"):
        decode_json(rb'["\ud83d",' + b"[" * 100_000)


def test_too_many_half_characters_are_not_repaired() -> None:
    assert decode_json(rb'"%b"' % (rb"\ud83d" * 99_999)) == "\ufffd" * 99_999
    with pytest.raises(DecodeError):
        decode_json(rb'"%b"' % (rb"\ud83d" * 100_000))


class Point(msgspec.Struct, tag="point", omit_defaults=True):
    name: str
    size: int | None = None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, "é", float("nan")]}, '{"a":[1,null,"é",null]}'),
        ("a\ud83d", '"a\ufffd"'),
        ("\ud83d\ude00", f'"{SMILE}"'),
        ({"\ud83d": ("\ude00", [b"raw", float("nan")])}, '{"\ufffd":["\ufffd",["cmF3",null]]}'),
        (Point("a\ud83d"), '{"type":"point","name":"a\ufffd"}'),
        ([{"p": Point("\ud83d", 1)}], '[{"p":{"type":"point","name":"\ufffd","size":1}}]'),
    ],
)
def test_encoding(value: object, text: str) -> None:
    assert encode_json(value) == text.encode()


@pytest.mark.parametrize("value", [object(), ["\ud83d", object()]])
def test_what_has_no_json_form_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        encode_json(value)


def test_text_keeps_everything_but_half_characters() -> None:
    assert replace_half_pairs(f"\ufeffa\0{SMILE}\ud83d\ude00\ud83d") == f"\ufeffa\0{SMILE}{SMILE}\ufffd"
