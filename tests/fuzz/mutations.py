"""Damage: what a seed may become. Tokens are replaced by JSON of another type, pieces go missing, or come twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

__all__ = ["damaged"]

_VALUE = re.compile(
    rb'"(?:[^"\\\r\n]|\\.)*"(?!\s*:)|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|\[[^\[\]{}]*\]|\{[^\[\]{}]*\}'
)
_OTHERS = (
    b"null", b"true", b"false", b"0", b"-1", b"1.5", b"1e400", b"-0", b"123456789012345678901234567890", b'""',
    b'"x"', b'"\\ud83d"', b'"\\u0000"', b'"\xff"', b'"data:,x"', b'"data:image/png;base64,YQ=="', b"[]", b"{}", b"[[]]",
    b"[null]", b"[1]", b'["x"]', b"[{}]", b'{"x": 1}', b'{"type": "x"}', b'{"type": 1}', b"NaN", b"1" * 400,
    b"[" * 200 + b"]" * 200,
)  # fmt: skip
_JUNK = (
    b"", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"data:", b"data: ", b"data: [DONE]\n\n", b"event: x\n", b":\n",
    b"id: \0\n", b"retry: 1\n", b"\xef\xbb\xbf", b"\xff", b"\xe2\x82", b"\0", b'"', b"\\", b"{", b"}", b"[", b"]", b",",
    b":", b"--b", b"--b--", b"%", b"%zz", b"=", b";", b" ", b"\t", b"<think>", b"</think>", "\u2028".encode(),
    b"HTTP/1.1 ", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"x" * 300, b"data: x\n" * 40,
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Damage a seed in some places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        way = draw(st.sampled_from("vvvvjjddtsbr"))
        if way == "v":
            data = _other_value(draw, data)
            continue
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + draw(st.sampled_from((1, 4, 20, 400))))))
        if way == "j":
            data = data[:begin] + draw(st.sampled_from(_JUNK)) + data[begin:]
        elif way == "d":
            data = data[:begin] + data[end:]
        elif way == "t":
            data = data[:end] + data[begin:]
        elif way == "s":
            other = draw(st.sampled_from(seeds))
            data = data[:begin] + other[draw(st.integers(0, len(other))) :]
        elif way == "b":
            data = data[:begin] + draw(st.binary(max_size=6)) + data[end:]
        else:
            data = data[:begin]
    return data


def _other_value(draw: st.DrawFn, data: bytes) -> bytes:
    values = list(_VALUE.finditer(data[:20_000]))
    if not values:
        return data
    found = draw(st.sampled_from(values))
    return data[: found.start()] + draw(st.sampled_from(_OTHERS)) + data[found.end() :]
