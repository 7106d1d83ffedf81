"""Frames passed on as they came: whole ones only, never an error's, never more than the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.dialects.base import Dialect
from backstream.dialects.names import dialect_for
from backstream.dialects.relay import FrameRelay, relay_for
from backstream.options import CallOptions
from backstream.reply import Block, End
from backstream.request import Request

RECORDED = Path(__file__).parents[2] / "data" / "recorded"
NAMES = ("openai_chat", "anthropic_messages", "gemini", "ollama")
STREAMS = sorted(
    path for name in NAMES for path in (RECORDED / name).iterdir() if path.suffix in (".sse", ".ndjson", ".jsonl")
)
CHAT = b'data: {"id":"i","model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"id":"i","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
DONE = b"data: [DONE]\n\n"


def passed_on(
    name: str, pieces: list[bytes], *, with_usage: bool = True, framed: bool = True, close: bool = True
) -> tuple[bytes, Block]:
    relay = FrameRelay(name, with_usage=with_usage)
    parser = relay.watch(dialect_for(name).stream_parser(CallOptions()))
    assert relay.is_used
    block: Block = []
    out = b""
    for piece in pieces:
        block += parser.feed(piece)
        out += relay.take()
    if close:
        block += parser.finish(framed=framed)
        out += relay.take()
    return out, block


def end_of(block: Block) -> End:
    (end,) = [item for item in block if isinstance(item, End)]
    return end


def spoken(data: bytes) -> list[bytes]:
    """The lines that say something: comments and blank lines may be lost."""
    return [line for line in data.splitlines() if line.strip() and not line.startswith(b":")]


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_streams_at_every_cut(path: Path) -> None:
    name, data = path.parent.name, path.read_bytes()
    whole, block = passed_on(name, [data])
    state = end_of(block).state
    if state == "complete":
        assert spoken(whole) == spoken(data)
    else:
        assert data.startswith(whole)
        assert len(whole) < len(data)
    for cut in range(1, len(data), max(len(data) // 150, 1)):
        again, seen = passed_on(name, [data[:cut], data[cut:]])
        assert (spoken(again), end_of(seen).state) == (spoken(whole), state)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_cut_off_is_passed_on_up_to_its_last_whole_frame(path: Path) -> None:
    name, data = path.parent.name, path.read_bytes()
    for cut in range(1, len(data) - 20, max(len(data) // 40, 1)):
        out, block = passed_on(name, [data[: cut // 2], data[cut // 2 : cut]], framed=False)
        lines = spoken(out)
        assert lines == spoken(data)[: len(lines)]
        if end_of(block).state != "complete":
            assert out == b"" or out.endswith(b"\n")


def test_byte_by_byte_nothing_is_passed_on_before_its_frame_is_whole() -> None:
    data = CHAT + CHAT + STOP + DONE
    relay = FrameRelay("openai_chat")
    parser = relay.watch(dialect_for("openai_chat").stream_parser(CallOptions()))
    sizes = []
    for index in range(len(data)):
        parser.feed(data[index : index + 1])
        if taken := relay.take():
            sizes.append(len(taken))
    assert sizes == [len(CHAT), len(CHAT), len(STOP), len(DONE)]


@pytest.mark.parametrize("blank", [b"\r\n\r\n", b"\n\r\n", b"\r\r", b"\n\r", b"\r\n\r"])
def test_other_line_ends(blank: bytes) -> None:
    frames = [frame.removesuffix(b"\n\n") + blank for frame in (CHAT, STOP, DONE)]
    data = b"".join(frames)
    for cut in range(1, len(data)):
        out, block = passed_on("openai_chat", [data[:cut], data[cut:]])
        assert (out.rstrip(b"\r\n"), end_of(block).state) == (data.rstrip(b"\r\n"), "complete")


def test_an_error_is_not_passed_on_but_what_came_before_it_is() -> None:
    error = b'data: {"error": {"message": "no", "code": 500}}\n\n'
    out, block = passed_on("openai_chat", [CHAT + error + CHAT])
    assert out == CHAT
    assert end_of(block).state == "failed"


def test_a_finish_reason_that_means_failure_is_passed_on_as_it_is() -> None:
    broken = STOP.replace(b"stop", b"error")
    out, block = passed_on("openai_chat", [CHAT + broken])
    assert out == CHAT + broken
    assert end_of(block).state == "failed"


def test_what_is_no_json_is_not_passed_on() -> None:
    out, block = passed_on("openai_chat", [CHAT + b"data: {nonsense\n\n" + CHAT])
    assert out == CHAT
    assert end_of(block).state != "complete"


@pytest.mark.parametrize("name", ["anthropic_messages", "ollama"])
def test_what_follows_the_end_is_not_passed_on(name: str) -> None:
    path = next(path for path in STREAMS if path.parent.name == name and "error" not in path.stem)
    data = path.read_bytes()
    more = b'data: {"type":"ping"}\n\n' if name != "ollama" else b'{"message":{"content":"more"},"done":false}\n'
    out, block = passed_on(name, [data + more, more])
    assert end_of(block).state == "complete"
    assert more not in out


def test_nothing_follows_done() -> None:
    out, _ = passed_on("openai_chat", [CHAT + STOP + DONE + CHAT, CHAT])
    assert out == CHAT + STOP + DONE


def test_usage_is_kept_from_a_client_that_did_not_ask() -> None:
    data = CHAT + STOP + USAGE + b": quiet\n\n" + DONE
    quiet, block = passed_on("openai_chat", [data], with_usage=False)
    loud, _ = passed_on("openai_chat", [data])
    assert quiet == CHAT + STOP + b": quiet\n\n" + DONE
    assert USAGE in loud
    assert any(type(item).__name__ == "Usage" for item in block)


def test_an_event_without_choices_that_is_no_usage_is_passed_on() -> None:
    first = b'data: {"choices":[],"prompt_filter_results":[]}\n\n'
    out, _ = passed_on("openai_chat", [first + CHAT + STOP + DONE], with_usage=False)
    assert out == first + CHAT + STOP + DONE


def test_a_last_blank_line_that_is_missing_is_added() -> None:
    out, block = passed_on("openai_chat", [CHAT + STOP + b"data: [DONE]"])
    assert out == CHAT + STOP + DONE
    assert end_of(block).state == "complete"


def test_a_last_line_end_that_is_missing_is_added() -> None:
    line = b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop"}'
    out, block = passed_on("ollama", [line])
    assert out == line + b"\n"
    assert end_of(block).state == "complete"


def test_a_rest_that_is_damaged_is_dropped() -> None:
    out, _ = passed_on("openai_chat", [CHAT + STOP + b"data: {half"], framed=True)
    assert out == CHAT + STOP


def test_reads_of_comments_only_are_dropped() -> None:
    out, _ = passed_on("openai_chat", [b": waiting\n\n", CHAT + STOP + DONE])
    assert out == CHAT + STOP + DONE


def test_what_waits_to_be_taken_is_capped() -> None:
    relay = FrameRelay("openai_chat", max_bytes=3 * len(CHAT))
    parser = relay.watch(dialect_for("openai_chat").stream_parser(CallOptions()))
    ends = [item for _ in range(4) for item in parser.feed(CHAT) if isinstance(item, End)]
    assert [(end.state, type(end.error).__name__) for end in ends] == [("failed", "TooLargeError")]
    assert relay.take() == CHAT * 3


def test_taking_makes_room() -> None:
    relay = FrameRelay("openai_chat", max_bytes=3 * len(CHAT))
    parser = relay.watch(dialect_for("openai_chat").stream_parser(CallOptions()))
    for _ in range(9):
        assert not [item for item in parser.feed(CHAT) if isinstance(item, End)]
        assert relay.take() == CHAT


STREAMED = Request(stream=True)


@pytest.mark.parametrize(
    ("client", "provider", "expected"),
    [
        (dialect_for("openai_chat"), dialect_for("openai_chat"), True),
        (dialect_for("openai_chat"), dialect_for("ollama"), False),
        (dialect_for("openai_responses"), dialect_for("openai_responses"), False),
        (dialect_for("openai_chat"), dialect_for("openai_chat", {"think_tags": True}), False),
        (dialect_for("gemini"), dialect_for("gemini"), True),
        (dialect_for("gemini", {"framing": "array"}), dialect_for("gemini"), False),
        (dialect_for("gemini"), dialect_for("gemini", {"framing": "array"}), False),
    ],
)
def test_who_can_be_relayed(client: Dialect, provider: Dialect, *, expected: bool) -> None:
    assert (relay_for(client, provider, STREAMED) is not None) is expected


def test_a_whole_answer_is_not_relayed() -> None:
    chat = dialect_for("openai_chat")
    assert relay_for(chat, chat, Request(stream=False)) is None


def test_a_relay_that_watches_nothing_is_not_used() -> None:
    assert not FrameRelay("openai_chat").is_used


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_byte_order_mark_is_not_passed_on(cut: int) -> None:
    data = b"\xef\xbb\xbf" + CHAT + STOP + DONE
    out, block = passed_on("openai_chat", [data[:cut], data[cut:]])
    assert out == CHAT + STOP + DONE
    assert end_of(block).state == "complete"
