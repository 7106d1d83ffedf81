"""Filler: nothing that was said is left, and everything about how it was said is."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.dialects.names import DIALECTS, dialect_for
from backstream.providers.recorder_filler import blot_secrets, fill, scramble_keys
from backstream.reply import End

SALT = b"salt"
RECORDED = Path(__file__).parents[2] / "data" / "recorded"


def filled(body: bytes) -> bytes:
    return b"".join(fill(body, SALT))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b'{"content": "Hi, you"}', b'{"content": "xxx xxx"}'),
        ('{"content": "grüß 日本 🌦"}'.encode(), '{"content": "xxéé 㩩㩩 𩩩"}'.encode()),
        (
            b'{"content": "a\\nb\\"c\\u00e9\\ud83c\\udf26\\u0007"}',
            b'{"content": "x\\nx\\"x\\u0078\\ud83d\\ude00\\u0007"}',
        ),
        (b'{"content": "\\ud83dhalf"}', b'{"content": "\\ud83dxxxx"}'),
        (b'{"text": "<think>so</think> < a"}', b'{"text": "<think>xx</think> x x"}'),
        (b'{"type": "content", "role": "assistant"}', b'{"type": "content", "role": "assistant"}'),
        (b'{"type": "My name is Ann"}', b'{"type": "xx xxxx xx xxx"}'),
        (b'{"finish_reason": null, "n": true}', b'{"finish_reason": null, "n": true}'),
        (b'{"usage": {"prompt": 12, "x": {"y": 3}}, "z": 45}', b'{"usage": {"prompt": 12, "x": {"y": 3}}, "z": 11}'),
        (
            b'{"completion_tokens": 45, "index": 2, "logprob": -0.52}',
            b'{"completion_tokens": 45, "index": 2, "logprob": -1.11}',
        ),
        (
            b'{"arguments": "{\\"city\\": \\"Rome\\", \\"n\\": 24}"}',
            b'{"arguments": "{\\"xxxx\\": \\"xxxx\\", \\"x\\": 11}"}',
        ),
        (b'{"error": "RateLimitError", "message": "no"}', b'{"error": "RateLimitError", "message": "xx"}'),
        (b'{"error": "Ann is not here"}', b'{"error": "xxx xx xxx xxxx"}'),
        ('{"url": "https://ä.example/b"}'.encode(), '{"url": "https://éxxxxxxxxxx"}'.encode()),
        (b'{"url": "data:image/png;base64,aGk="}', b'{"url": "data:image/png;base64,xxxx"}'),
        (b'{"a name of Ann": 1}', b'{"x xxxx xx xxx": 1}'),
        (b"data: [DONE]\n\n", b"data: [DONE]\n\n"),
        (b"event: delta\r\ndata: x\r\n\r\n", b"event: delta\r\ndata: x\r\n\r\n"),
        (b"event: Ann is here\ndata: hello\n\n", b"event: xxx xx xxxx\ndata: xxxxx\n\n"),
        (b": hello\nretry: 15\ndata: 1\n\n", b": xxxxx\nretry: 15\ndata: 1\n\n"),
        (b"hello\ndata: 1\n\n", b"xxxxx\ndata: 1\n\n"),
        (b"<html>\nAnn</html>", b"xxxxxx\nxxxxxxxxxx"),
        (b'{"content": "not over', b'{"content": "xxx xxxx'),
        (b'{"content": "not \xff\xed\xa0\x80 \xf9"}', b'{"content": "xxx \xff\xff\xff\xa9 \xff"}'),
        (b"}}] x", b"}}] x"),
        (b'"', b'"'),
        (b"", b""),
    ],
)
def test_what_is_left(said: bytes, left: bytes) -> None:
    assert filled(said) == left
    assert len(said) == len(left)


def test_names_and_codes_in_free_places_are_taken_out() -> None:
    """What a tool is called with may have anything in it, as names too."""
    said = b'{"args": {"Ann Smith": {"type": "friend", "age": 34, "id": "ann-1"}}, "type": "call"}'
    left = filled(said)
    assert len(left) == len(said)
    assert b"Ann" not in left
    assert b"Smith" not in left
    assert b"friend" not in left
    assert b"34" not in left
    assert json.loads(left)["type"] == "call"


def test_ids_stay_equal_and_become_others() -> None:
    left = json.loads(
        filled(b'[{"id": "call_abc1"}, {"tool_call_id": "call_abc1"}, {"id": "call_abc2"}, {"name": "weather"}]')
    )
    assert left[0]["id"] == left[1]["tool_call_id"]
    assert left[0]["id"] != left[2]["id"]
    assert re.fullmatch("call_[0-9a-f]{4}", left[0]["id"])
    assert left[3]["name"] != "weather"
    assert json.loads(b"".join(fill(b'{"id": "call_abc1"}', b"other salt")))["id"] != left[0]["id"]


def test_addresses_stay_different() -> None:
    left = json.loads(filled(b'[{"url": "https://a.example/b?c=d"}, {"url": "https://a.example/c?c=d"}]'))
    assert left[0]["url"] != left[1]["url"]
    assert re.fullmatch(r"https://[0-9a-f]\.[0-9a-f]{7}/[0-9a-f]\?[0-9a-f]=[0-9a-f]", left[0]["url"])


def test_a_long_id_is_filled() -> None:
    assert json.loads(filled(b'{"id": "%b"}' % (b"a1" * 400)))["id"] == "x" * 800


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_keeps_its_shape(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        said = text.encode("utf-8", "surrogatepass")
        left = filled(said)
        assert len(left) == len(said)
        assert _tokens(left) == _tokens(said)


def _tokens(text: bytes) -> bytes:
    """What is not in strings, without digits."""
    return re.sub(rb"\d", b"1", re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', text))


@given(st.binary(max_size=300))
def test_any_bytes_keep_their_size(said: bytes) -> None:
    assert len(filled(said)) == len(said)


@given(st.text(max_size=60))
def test_characters_stay_characters(text: str) -> None:
    said = text.encode("utf-8", "ignore")
    left = filled(said).decode()
    assert [len(each.encode()) for each in left] == [len(each.encode()) for each in said.decode()]


def streams() -> list[Any]:
    found = []
    for name in DIALECTS:
        for path in sorted(RECORDED.glob(f"{name}/*.sse")) + sorted(RECORDED.glob(f"{name}/*.ndjson")):
            found.append(pytest.param(name, path.read_bytes(), id=f"{name}-{path.stem}"))
        for path in sorted(RECORDED.glob(f"aimock/{name}/*.body")):
            if ".whole" not in path.name and not path.name.startswith("error"):
                found.append(pytest.param(name, path.read_bytes(), id=f"{name}-aimock-{path.stem}"))
    return found


def kinds(name: str, pieces: list[bytes]) -> list[Any]:
    """What each read gives: the kinds of chunks, and how it ended."""
    parser = dialect_for(name).stream_parser()
    blocks = [parser.feed(piece) for piece in pieces] + [parser.finish(framed=True)]
    return [
        [
            (item.state, type(item.error)) if isinstance(item, End) else (type(item), getattr(item, "part", None))
            for item in block
        ]
        for block in blocks
    ]


@pytest.mark.parametrize(("name", "body"), streams())
def test_a_filled_stream_parses_as_what_was_said(name: str, body: bytes) -> None:
    left = filled(body)
    chance = random.Random(0)
    edges = sorted({0, len(body), *(chance.randrange(len(body)) for _ in range(25))})
    cuts = list(itertools.pairwise(edges))
    assert kinds(name, [left[a:b] for a, b in cuts]) == kinds(name, [body[a:b] for a, b in cuts])


@pytest.mark.parametrize(("name", "body"), streams())
def test_no_text_of_a_stream_is_left(name: str, body: bytes) -> None:
    parser = dialect_for(name).stream_parser()
    said = parser.feed(body)
    words = {
        word
        for chunk in said
        for member in ("content", "token", "arguments", "cited_text", "title", "url")
        for word in re.findall(r"\w{5,}", str(getattr(chunk, member, "") or ""))
    }
    kept = filled(body).decode("utf-8", "replace")
    known = {"assist", "https", "image", "base64", "false"}
    assert {word for word in words if word in kept} - known == set()


def test_secrets_are_filled_however_they_are_written() -> None:
    secret = 'kö/"s1'
    body = ('{"a": "kö/\\"s1", "b": "kö\\/\\"s1"} kö/"s1').encode()
    left = blot_secrets(body, [secret, "", "short"])
    assert left == ('{"a": "' + "x" * 8 + '", "b": "' + "x" * 9 + '"} ' + "x" * 7).encode()
    assert len(left) == len(body)


def test_what_looks_like_a_key_is_replaced_by_as_much() -> None:
    body = b'{"a": "my key is sk-proj-abcdef1234567890ABCDEF", "b": "anextraordinarilylongwordofmine"}'
    left = scramble_keys(body, SALT)
    assert b"abcdef1234567890" not in left
    assert b"anextraordinarilylongwordofmine" in left
    assert len(left) == len(body)


def test_a_long_body_comes_in_pieces() -> None:
    """So that whoever asks can let others run in between."""
    body = b'data: {"content": "Hello, you"}\n\n' * 1000
    pieces = list(fill(body, SALT))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 8192
    assert len(b"".join(pieces)) == len(body)
