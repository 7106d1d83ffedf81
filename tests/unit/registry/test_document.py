"""Where in a TOML file something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.registry.document import Document, parse_document

TEXT = """\
# a comment with [brackets] and = signs
title = "x"

[providers.work]
url = "http://a"
headers = { "X-One" = "1" }

[ providers . "odd name" ]
'single quoted' = 1
quirks.json_schema = true
  [prices."a/b"]
input = 1.0
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["title"], 2),
        (["providers"], 4),
        (["providers", "work"], 4),
        (["providers", "work", "url"], 5),
        (["providers", "work", "headers", "X-One"], 6),
        (["providers", "work", "missing"], 4),
        (["providers", "odd name"], 8),
        (["providers", "odd name", "single quoted"], 9),
        (["providers", "odd name", "quirks"], 10),
        (["providers", "odd name", "quirks", "json_schema"], 10),
        (["prices", "a/b"], 11),
        (["prices", "a/b", "input"], 12),
        (["nowhere"], 1),
        ([], 1),
    ],
)
def test_a_key_is_found(keys: list[str], line: int) -> None:
    assert Document(Path("x.toml"), TEXT).line(keys) == line


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a = 1\nb = \n", r"x\.toml:2: invalid value"),
        (b"a = 1\n[b\n", r"x\.toml:2: "),
        (b"a = 1\n\nb = [1,\n", r"x\.toml:3: (invalid value|unclosed array)"),
        (b"", None),
        (b"a = 1\na = 2\n", r"x\.toml:2: cannot overwrite a value"),
        (b"a = 1\nb = '\xff'\n", r"x\.toml:2: not UTF-8; save the file as UTF-8"),
        (b"a = " + b"[" * 100_000, r"x\.toml:1: nested too deeply"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(raw: bytes, said: str | None) -> None:
    if said is None:
        assert parse_document(Path("x.toml"), raw)[1] == {}
        return
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_document(Path("x.toml"), raw)
    assert "\n" not in str(caught.value)


def test_a_key_of_odd_characters_is_shown_on_one_line() -> None:
    document = Document(Path("x.toml"), '"a\\nb" = 1\n')
    assert str(document.error(["a\nb"], "is wrong")) == 'x.toml:1: "a?b" is wrong'


def test_what_editors_write_shifts_no_line() -> None:
    raw = b"\xef\xbb\xbfa = 'x\xe2\x80\xa8y' # \xc2\x85\r\n[b]\r\nc = 1\r\n"
    document, tables = parse_document(Path("x.toml"), raw)
    assert tables == {"a": "x\u2028y", "b": {"c": 1}}
    assert document.line(["b", "c"]) == 3


def test_a_known_value_passes() -> None:
    document = Document(Path("x.toml"), "a = 'one'\n")
    document.check_value(["a"], "one", ["one", "two"])
    with pytest.raises(ConfigurationError, match=r"x\.toml:1: a has an unknown value; use one of: one, two"):
        document.check_value(["a"], "zzz", ["one", "two"])


def test_the_text_is_not_kept() -> None:
    """Because it may hold keys."""
    document, _ = parse_document(Path("x.toml"), b'key = "sk-canary"\n')
    assert "sk-canary" not in repr(vars(document))
