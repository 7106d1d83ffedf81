"""Twice the input costs twice the work, not four times: counted in lines run and bytes asked for, not in seconds."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest

from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.dialects.names import DIALECTS, dialect_for
from backstream.dialects.relay import FrameRelay
from backstream.transport.answer import Answer
from backstream.wire.json_array import JSONArrayDecoder
from backstream.wire.json_media import JSONMediaDecoder
from backstream.wire.jsonlines import JSONLinesDecoder
from backstream.wire.multipart import MultipartDecoder
from backstream.wire.sse import SSEDecoder
from backstream.wire.sse_data import EventDataDecoder

MOST = 3.0  # a quadratic decoder has 4
SIZE = 1500

_SMALL_CHANGE = 50_000  # what starting costs must not decide

DECODERS: dict[str, Callable[[], Any]] = {
    "sse": SSEDecoder,
    "sse_data": EventDataDecoder,
    "jsonlines": JSONLinesDecoder,
    "tolerant": TolerantDecoder,
    "json_array": JSONArrayDecoder,
    "json_media": lambda: JSONMediaDecoder("t", max_depth=1_000_000),
    "multipart": lambda: MultipartDecoder(b"b"),
    "http_answer": lambda: Answer("POST"),
    **{f"{name}.stream": dialect_for(name).stream_parser for name in DIALECTS},
    "openai_chat.relay": lambda: _relay("openai_chat"),
    "ollama.relay": lambda: _relay("ollama"),
}

SHAPES: dict[str, Callable[[int], bytes]] = {
    "one long line": lambda size: b"data: " + b"x" * size,
    "one long JSON text": lambda size: b'{"a": "' + b"x" * size,
    "many data lines": lambda size: b"data: x\n" * (size // 8),
    "many small events": lambda size: b'data: {"a": 1}\n\n' * (size // 16),
    "many comments": lambda size: b":\r\n" * (size // 3),
    "carriage returns": lambda size: b"\r" * size,
    "blank lines": lambda size: b"\n" * size,
    "escapes": lambda size: b'{"a": "' + b"\\u0064" * (size // 6),
    "opened only": lambda size: b"[" * size,
    "a list of objects": lambda size: b"[" + b"{}," * (size // 3),
    "delimiters that are none": lambda size: (
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"\r\n--" * (size // 4)
    ),
    "a long head": lambda size: b"HTTP/1.1 200 OK\r\nx: " + b"y" * size,
    "small chunks": lambda size: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (size // 6),
}


def _relay(name: str) -> Any:
    relay = FrameRelay(name)
    relay.watch(dialect_for(name).stream_parser())
    return relay


def lines_run(decoder: Any, pieces: Sequence[bytes]) -> int:
    """Count the lines of Python that feeding runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        _feed(decoder, pieces)
    finally:
        sys.settrace(before)
    return count


def bytes_asked_for(decoder: Any, pieces: Sequence[bytes]) -> int:
    """Add up how much memory each piece needs beyond what is there before it: what is copied shows in it."""
    total = 0
    tracemalloc.start()
    try:
        for piece in pieces:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            try:
                decoder.feed(piece)
            except Exception:
                break
            total += max(tracemalloc.get_traced_memory()[1] - before, 0)
    finally:
        tracemalloc.stop()
    return total


def _feed(decoder: Any, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        try:
            decoder.feed(piece)
        except Exception:  # refused: then it costs no more
            return


def ratio(
    measure: Callable[[Any, Sequence[bytes]], int], make: Callable[[], Any], shape: Callable[[int], bytes]
) -> float:
    """How much more twice the input costs."""
    costs = []
    for size in (SIZE, 2 * SIZE):
        data = shape(size)
        costs.append(measure(make(), [data[at : at + 1] for at in range(len(data))]) + _SMALL_CHANGE)
    return costs[1] / costs[0]


def shapes_for(name: str) -> dict[str, Callable[[int], bytes]]:
    """Return the shapes that can hurt a decoder: dialects see no HTTP, and the decoders below them see the rest."""
    if name == "http_answer":  # its library joins a head's pieces anew each time; there are at most 64 KiB of them
        return {shape: make for shape, make in SHAPES.items() if shape != "a long head"}
    return dict(list(SHAPES.items())[:4]) if "." in name else SHAPES


@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer counts lines, and makes this slow")
@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_runs_quadratically_many_lines(name: str) -> None:
    for shape, make in shapes_for(name).items():
        assert ratio(lines_run, DECODERS[name], make) < MOST, shape


@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_copies_quadratically_many_bytes(name: str) -> None:
    for shape, make in shapes_for(name).items():
        assert ratio(bytes_asked_for, DECODERS[name], make) < MOST, shape


def test_what_copies_all_of_it_each_time_is_noticed() -> None:
    """Because a measure that cannot fail measures nothing."""

    class Copying:
        def __init__(self) -> None:
            self.rest = b""

        def feed(self, data: bytes) -> None:
            self.rest = self.rest + data

    assert ratio(bytes_asked_for, Copying, SHAPES["one long line"]) > MOST


def test_what_looks_at_all_of_it_each_time_is_noticed() -> None:
    class Looking:
        def __init__(self) -> None:
            self.count = 0

        def feed(self, data: bytes) -> None:
            self.count += 1
            for _ in range(self.count):
                continue

    assert ratio(lines_run, Looking, lambda size: b"x" * (size // 4)) > MOST
