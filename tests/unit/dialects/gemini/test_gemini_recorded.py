"""Recorded answers of Gemini, and those of an independent mock: the same chunks at every cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.chunks import Citation, Finish, Media, RawResponse, Start, Usage
from backstream.dialects.base import Envelope
from backstream.dialects.gemini import Gemini, Quirks
from backstream.errors import AuthenticationError, ContentRefusedError, IncompleteStream, RateLimitError
from backstream.reply import Block, End, Reply, fold
from backstream.request import OpaquePart, ReasoningPart, TextPart, ToolCallPart
from backstream.testing.chop import chop

NAME = "gemini"
DATA = Path(__file__).parents[3] / "data" / "recorded"
RECORDED = DATA / "gemini"
AIMOCK = DATA / "aimock" / "gemini"
ENVELOPE = Envelope(id="answer-1", model="gemini-3-pro", created=1)


def parse(pieces: list[bytes]) -> Block:
    parser = Gemini().stream_parser()
    block = [item for piece in pieces for item in parser.feed(piece)]
    return block + parser.finish(framed=True) + parser.finish(framed=True)


def chunks_of(block: Block) -> list[RawResponse]:
    return [item for item in block if not isinstance(item, End)]


def at_every_cut(data: bytes) -> tuple[Reply, End]:
    whole = parse([data])
    for pieces in chop(data):
        block = parse(pieces)
        assert block[:-1] == whole[:-1]
        assert repr(block[-1]) == repr(whole[-1])
    end = whole[-1]
    assert isinstance(end, End)
    return fold(chunks_of(whole)), end


def call(**members: Any) -> ToolCallPart:
    signature = members.pop("signature", None)
    return ToolCallPart(**members, opaque={NAME: {"thoughtSignature": signature}} if signature else {})


STREAMS: dict[str, tuple[Any, ...]] = {
    # file: parts, reason and raw word, tokens (input, output, reasoning, total), evidence
    "thinking-call": (
        (
            ReasoningPart(
                text="**Calculating the Days**\n\nI've determined the user's request involves calculating the days "
                "until New Year's Eve.\n\n\n**Determining the Approach**\n\nI'm now zeroing in on the best method."
                "\n\n\n"
            ),
            call(name="now", arguments="{}", signature="CiIBVKhc7vB+vaaq6rA/KC79Ts7iXagIOA4EBOyBFDpl+pxP"),
        ),
        ("tool_calls", "STOP"),
        (38, 174, 168, 212),
    ),
    "code-execution": (
        (
            TextPart(text="To find the sum of the first 5 prime numbers, we first need to identify them."),
            OpaquePart(
                opaque={
                    NAME: {
                        "executableCode": {
                            "language": "PYTHON",
                            "code": "prime_numbers = [2, 3, 5, 7, 11]\nsum_of_primes = sum(prime_numbers)\n"
                            "print(f'The sum of the first 5 prime numbers is: {sum_of_primes}')\n",
                        }
                    }
                }
            ),
            OpaquePart(
                opaque={
                    NAME: {
                        "codeExecutionResult": {
                            "outcome": "OUTCOME_OK",
                            "output": "The sum of the first 5 prime numbers is: 28\n",
                        }
                    }
                }
            ),
            TextPart(text="The sum of the first 5 prime numbers is 28."),
        ),
        ("stop", "STOP"),
        (264, 221, 95, 485),
    ),
    "grounding": (
        (
            TextPart(
                text="\nThe Google homepage primarily serves as a search engine interface, featuring a prominent "
                "search bar and the Google logo. It also displays trending searches, options to sign in, access "
                "Google apps, and adjust settings such as dark theme and search preferences. The page includes links "
                'for feedback, privacy, terms, advertising, business, and an "About" section.'
            ),
        ),
        ("stop", "STOP"),
        (1057, 120, 39, 1177),
    ),
    "signature-alone": (
        (
            TextPart(text="fixture ok"),
            OpaquePart(
                opaque={
                    NAME: {
                        "text": "",
                        "thoughtSignature": "EqkECqYEARFNMg+gQi3aPkE2hRW/Bg4AK2pNYqUDRt9IxseM7XQNgIzd3hjUAbUw",
                    }
                }
            ),
        ),
        ("stop", "STOP"),
        (7, 96, 94, 103),
    ),
    "call-in-pieces": (
        (
            call(
                name="getWeather",
                arguments='{"location":"Boston"}',
                signature="CiMBjz1rX25KieIB4d4AwFn8/WbsHTRNHBXso88PtemwfsSfRA==",
            ),
            call(name="getWeather", arguments='{"location":"San Francisco"}'),
        ),
        ("tool_calls", "STOP"),
        (26, 155, 132, 181),
    ),
    "blocked-late": ((TextPart(text="text1text2"),), None, (7, None, None, 7)),
}


@pytest.mark.capability(NAME, "text", "provider")
@pytest.mark.capability(NAME, "tools", "provider")
@pytest.mark.capability(NAME, "parallel-tools", "provider")
@pytest.mark.capability(NAME, "reasoning", "provider")
@pytest.mark.capability(NAME, "reasoning-opaque", "provider")
@pytest.mark.capability(NAME, "usage", "provider")
@pytest.mark.capability(NAME, "finish", "provider")
@pytest.mark.parametrize("name", STREAMS)
def test_streams_at_every_cut(name: str) -> None:
    reply, end = at_every_cut((RECORDED / f"{name}.sse").read_bytes())
    parts, finish, tokens = STREAMS[name]
    assert reply.parts == parts
    assert reply.usage is not None
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == tokens
    if finish is None:
        assert isinstance(end.error, ContentRefusedError)
        assert end.error.kind == "SAFETY"
    else:
        assert reply.finish is not None
        assert (reply.finish.reason, reply.finish.raw) == finish
        assert end == End("complete", (finish[1],))
        assert usage.source("output_tokens") == "computed"
        assert usage.source("total_tokens") == "provider"


def test_every_recorded_stream_is_in_the_table() -> None:
    assert {path.stem for path in RECORDED.glob("*.sse")} == set(STREAMS)


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_events_as_a_json_array_at_every_cut(name: str) -> None:
    stream = (RECORDED / f"{name}.sse").read_bytes()
    events = [line.removeprefix(b"data: ") for line in stream.splitlines() if line]
    array = b"[" + b"\n,\r\n".join(events) + b"\n]\n"
    plain, end = fold(chunks_of(parse([stream]))), parse([stream])[-1]
    reply, array_end = at_every_cut(array)
    assert reply == plain
    assert repr(array_end) == repr(end)
    whole = Gemini().parse_reply(array)
    assert chunks_of(whole) == chunks_of(parse([array]))


@pytest.mark.capability(NAME, "citations", "provider")
def test_sources_have_their_places_and_the_whole_of_what_google_said() -> None:
    reply, _ = at_every_cut((RECORDED / "grounding.sse").read_bytes())
    fetched, first, *others = reply.citations
    assert fetched.url == "https://google.com"
    assert (fetched.raw or {})[NAME].keys() == {"urlContextMetadata"}
    assert (first.raw or {})[NAME].keys() == {"groundingMetadata"}
    assert [citation.raw for citation in others] == [{NAME: {}}] * 2
    for citation in (first, *others):
        assert reply.text[citation.start : citation.end] == citation.cited_text


@pytest.mark.capability(NAME, "stream-errors", "provider")
def test_a_blocked_prompt_is_a_refusal() -> None:
    body = (RECORDED / "blocked.json").read_bytes()
    for block in (parse([body]), Gemini().parse_reply(body)):
        start, usage, end = block
        assert start == Start(id="EXCPatOAKMrQjMcPteHVmQo", model="gemini-3.7-flash", service_tier="default")
        assert isinstance(usage, Usage)
        assert usage.input_tokens == 9
        assert isinstance(end, End)
        assert end.state == "failed"
        assert isinstance(end.error, ContentRefusedError)
        assert end.error.kind == "PROHIBITED_CONTENT"


@pytest.mark.capability(NAME, "errors", "provider")
def test_a_wrong_key_is_told_by_its_reason() -> None:
    error = Gemini().parse_error(400, {}, (RECORDED / "error-key.json").read_bytes())
    assert isinstance(error, AuthenticationError)
    assert error.kind == "API_KEY_INVALID"


MOCKED = sorted(path.name.removesuffix(".body") for path in AIMOCK.glob("*.body") if "error-" not in path.name)
ERRORS = sorted(AIMOCK.glob("error-[0-9]*.body"))


@pytest.mark.capability(NAME, "audio-out", "provider")
@pytest.mark.capability(NAME, "done-evidence", "provider")
@pytest.mark.parametrize("name", MOCKED)
def test_answers_of_the_mock_at_every_cut(name: str) -> None:
    body = (AIMOCK / f"{name}.body").read_bytes()
    reply, end = at_every_cut(body)
    if name == "truncated":
        assert end.state == "incomplete"
        assert isinstance(end.error, IncompleteStream)
        return
    assert end.state == "complete"
    if name.endswith(".whole"):
        assert fold(chunks_of(Gemini().parse_reply(body))).parts == reply.parts
        streamed = fold(chunks_of(parse([(AIMOCK / f"{name.removesuffix('.whole')}.body").read_bytes()])))
        if "emoji" not in name:  # the mock cuts characters in halves, which cannot be told apart from damage
            assert reply.parts == streamed.parts
            assert reply.finish == streamed.finish
    if name == "audio":
        assert [(part.media_type, part.data) for part in reply.media] == [("audio/wav", "UklGRg==")]
        assert reply.text == "Listen."


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_refusals_of_the_mock_go_by_their_number(path: Path) -> None:
    status = int(path.stem.removeprefix("error-"))
    error = Gemini().parse_error(status, {"retry-after": "7"} if status == 429 else {}, path.read_bytes())
    inside = Gemini().parse_error(None, {}, path.read_bytes())
    assert type(inside) is type(error)
    assert str(status) in str(error)
    if status == 429:
        assert isinstance(error, RateLimitError)
        assert error.retry_after_seconds == 7


@pytest.mark.capability(NAME, "text", "server")
@pytest.mark.capability(NAME, "tools", "server")
@pytest.mark.capability(NAME, "parallel-tools", "server")
@pytest.mark.capability(NAME, "reasoning", "server")
@pytest.mark.capability(NAME, "reasoning-opaque", "server")
@pytest.mark.capability(NAME, "usage", "server")
@pytest.mark.capability(NAME, "cached-usage", "server")
@pytest.mark.capability(NAME, "citations", "server")
@pytest.mark.capability(NAME, "finish", "server")
@pytest.mark.capability(NAME, "done-evidence", "server")
@pytest.mark.parametrize("framing", ["sse", "array"])
@pytest.mark.parametrize("name", [name for name in STREAMS if name != "blocked-late"])
def test_what_was_recorded_is_rendered_and_read_again(name: str, framing: Any) -> None:
    dialect = Gemini(Quirks(framing=framing))
    blocks = [(RECORDED / f"{name}.sse").read_bytes()]
    parser, renderer = dialect.stream_parser(), dialect.stream_renderer(ENVELOPE)
    first = [parser.feed(data) for data in blocks] + [parser.finish(framed=True)]
    again = parse([b"".join(map(renderer.render, first))])
    whole, second = fold(chunks_of([item for block in first for item in block])), fold(chunks_of(again))
    kept = ("parts", "id", "model", "usage", "finish", "citations")
    assert {member: getattr(second, member) for member in kept} == {member: getattr(whole, member) for member in kept}


def test_types_of_chunks_that_the_table_does_not_show() -> None:
    """What the reply folds away is there as chunks."""
    block = parse([(AIMOCK / "audio.body").read_bytes()])
    assert [type(item) for item in block] == [Media, type(block[1]), Finish, Usage, End]
    assert not [item for item in block if isinstance(item, Citation)]
