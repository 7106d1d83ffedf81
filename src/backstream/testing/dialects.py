"""What every dialect must keep, in one check: it parses what it renders, at any cut; nothing cut passes for whole."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream import errors
from backstream.chunks import Content, Finish, RawResponse, Start, ToolCallDelta, Usage
from backstream.dialects.base import Dialect, Envelope
from backstream.errors import BackstreamError, IncompleteStream, UnsupportedFeatureError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import Block, End, Reply, fold
from backstream.request import (
    Receipts,
    Request,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from backstream.testing.chop import chop

__all__ = ["ANSWERS", "REFUSALS", "REQUESTS", "check_dialect", "parse_stream"]

_USER: Final = Turn(role="user", parts=(TextPart(text="What is the weather in Zürich? 🌦"),))
_TOOL: Final = Tool(
    name="weather",
    description="Look the weather up.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_CALL: Final = ToolCallPart(id="call_1", name="weather", arguments='{"city":"Zürich"}')

REQUESTS: Final[Mapping[str, Request]] = {
    "text": Request(model="m", turns=(_USER,)),
    "not streamed": Request(model="m", turns=(_USER,), stream=False),
    "system": Request(model="m", turns=(Turn(role="system", parts=(TextPart(text="Be brief."),)), _USER)),
    "parameters": Request(model="m", turns=(_USER,), max_tokens=50, temperature=0.5, top_p=0.9, stop=("\n\n",)),
    "tools": Request(model="m", turns=(_USER,), tools=(_TOOL,), tool_choice=ToolChoice(mode="auto")),
    "tool results": Request(
        model="m",
        tools=(_TOOL,),
        turns=(
            _USER,
            Turn(role="assistant", parts=(TextPart(text="I look."), _CALL)),
            Turn(
                role="tool",
                parts=(ToolResultPart(tool_call_id="call_1", name="weather", content=(TextPart(text="21 °C"),)),),
            ),
        ),
    ),
    "a schema": Request(
        model="m",
        turns=(_USER,),
        response_format=ResponseFormat(kind="json_schema", name="weather", schema=dict(_TOOL.parameters or {})),
    ),
}
"""Requests that every dialect can say, or refuses with ``UnsupportedFeatureError``."""

_USAGE: Final = Usage(usage={"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19})

ANSWERS: Final[Mapping[str, Sequence[RawResponse]]] = {
    "text": [
        Start(id="a1", model="m"),
        Content(content="It is "),
        Content(content='21 °C, 🌤\nand "dry"\u2028.'),
        Finish(finish={"reason": "stop"}),
        _USAGE,
    ],
    "cut at its length": [Start(id="a1", model="m"), Content(content="It is"), Finish(finish={"reason": "length"})],
    "a tool call": [
        Start(id="a1", model="m"),
        ToolCallDelta(part=0, id="call_1", name="weather"),
        ToolCallDelta(part=0, arguments='{"city":'),
        ToolCallDelta(part=0, arguments='"Zürich"}'),
        Finish(finish={"reason": "tool_calls"}),
        _USAGE,
    ],
}
"""Answers that every dialect can say."""

REFUSALS: Final[Sequence[errors.RefusedError]] = (
    errors.BackendRequestError("no such parameter", status=400),
    errors.AuthenticationError("wrong key", status=401),
    errors.RateLimitError("slow down", status=429),
    errors.UnavailableError("overloaded", status=503),
)
"""Refusals that every dialect can say."""

_ENVELOPE: Final = Envelope(id="a1", model="m", created=1_700_000_000)


def check_dialect(dialect: Dialect, *, seed: int = 0) -> None:
    """Hold a dialect to its contract, by requests, answers and refusals that every dialect can say.

    Args:
        dialect: An object of it.
        seed: For the damage that is tried.

    Raises:
        AssertionError: It breaks the contract; the text says where.
    """
    for name, request in REQUESTS.items():
        _check_request(dialect, name, request)
    for name, chunks in ANSWERS.items():
        _check_stream(dialect, name, chunks)
        _check_reply(dialect, name, chunks)
    _check_broken_off(dialect)
    _check_refusals(dialect)
    _check_models(dialect)
    _check_damage(dialect, random.Random(seed))  # noqa: S311 - not for secrets


def _body(dialect: Dialect, request: Request) -> tuple[dict[str, Any], str, Receipts]:
    receipts = Receipts()
    rendered = dialect.render_request(request, receipts)
    text = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in rendered.body)
    return msgspec.json.decode(text), rendered.path, receipts


def _check_request(dialect: Dialect, name: str, request: Request) -> None:
    try:
        members, path, receipts = _body(dialect, request)
    except UnsupportedFeatureError:
        return
    told = " ".join(receipt.what for receipt in receipts)
    for parameter in request.parameters():
        _hold(parameter in told, f"request {name!r}: no receipt for {parameter}")
    again = dialect.parse_request(members, path)
    _hold(again.stream == request.stream, f"request {name!r}: stream is {again.stream} after parsing")
    _hold(_body(dialect, again)[0] == members, f"request {name!r}: parsed and rendered again it is another one")
    said = [turn.text for turn in again.turns if turn.text]
    _hold(said == [turn.text for turn in request.turns if turn.text], f"request {name!r}: its texts are now {said}")


def parse_stream(dialect: Dialect, pieces: Sequence[bytes], *, framed: bool = True) -> tuple[Reply, End]:
    """Parse a stream given in pieces.

    Returns:
        What its chunks add up to, and its end.

    Raises:
        AssertionError: It ended twice, or never, or went on after its end.
    """
    parser = dialect.stream_parser(CallOptions())
    block: Block = []
    for piece in pieces:
        block += parser.feed(piece)
    block += parser.finish(framed=framed)
    ends = [item for item in block if isinstance(item, End)]
    _hold(len(ends) == 1 and block[-1] is ends[0], f"a stream had {len(ends)} ends, or went on after one")
    return fold(item for item in block if isinstance(item, RawResponse)), ends[0]


def _render(dialect: Dialect, chunks: Sequence[RawResponse], end: End) -> bytes:
    renderer = dialect.stream_renderer(_ENVELOPE)
    return b"".join([renderer.render([chunk]) for chunk in chunks] + [renderer.render([end])])


def _calls(reply: Reply) -> list[tuple[str, Any]]:
    return [(call.name, msgspec.json.decode(call.arguments or "{}")) for call in reply.tool_calls]


def _same(dialect: Dialect, where: str, reply: Reply, chunks: Sequence[RawResponse]) -> None:
    meant = fold(chunks)
    _hold(reply.text == meant.text, f"{where}: its text is now {reply.text!r}")
    _hold(_calls(reply) == _calls(meant), f"{where}: its tool calls are now {_calls(reply)}")
    _hold(reply.finish_reason == meant.finish_reason, f"{where}: it finished for {reply.finish_reason!r}")
    if meant.usage is not None and reply.usage is not None:
        _hold(reply.usage.input_tokens == meant.usage.input_tokens, f"{where}: another count of input tokens")
        _hold(reply.usage.output_tokens == meant.usage.output_tokens, f"{where}: another count of output tokens")


def _check_stream(dialect: Dialect, name: str, chunks: Sequence[RawResponse]) -> None:
    stream = _render(dialect, chunks, End("complete", ("test",)))
    for pieces in chop(stream, every_cut_up_to=2048, samples=200):
        reply, end = parse_stream(dialect, pieces)
        _hold(end.state == "complete", f"stream {name!r}: {end.state}, in {len(pieces)} pieces")
        _same(dialect, f"stream {name!r}, in {len(pieces)} pieces", reply, chunks)
    meant = fold(chunks)
    for size in range(0, len(stream), max(len(stream) // 300, 1)):
        reply, end = parse_stream(dialect, [stream[:size]], framed=False)
        if end.state == "complete":
            is_whole = reply.text == meant.text and len(reply.tool_calls) == len(meant.tool_calls)
            _hold(is_whole, f"stream {name!r} cut after {size} bytes passes for whole")
        else:
            _hold(end.error is not None, f"stream {name!r} cut after {size} bytes: {end.state} without an error")


def _check_reply(dialect: Dialect, name: str, chunks: Sequence[RawResponse]) -> None:
    body = dialect.render_reply([*chunks, End("complete", ("test",))], _ENVELOPE)
    block = dialect.parse_reply(body)
    end = block[-1]
    _hold(isinstance(end, End) and end.state == "complete", f"reply {name!r}: no complete end, but {end!r}")
    _same(dialect, f"reply {name!r}", fold(item for item in block if isinstance(item, RawResponse)), chunks)


def _check_broken_off(dialect: Dialect) -> None:
    begin = ANSWERS["text"][:2]
    cut = End("incomplete", ("closed",), IncompleteStream("cut off"))
    failed = End("failed", ("error",), errors.UnavailableError("overloaded", status=503))
    for end in (cut, failed):
        reply, told = parse_stream(dialect, [_render(dialect, begin, end)])
        _hold(told.state != "complete", f"an answer that ended {end.state} is told as complete")
        _hold(told.error is not None, f"an answer that ended {end.state} is told without an error")
        _hold(reply.text == "It is ", f"an answer that ended {end.state} lost what came before")


def _check_refusals(dialect: Dialect) -> None:
    for refusal in REFUSALS:
        status, body = dialect.render_error(refusal)
        again = dialect.parse_error(status, {"content-type": "application/json"}, body)
        _hold(type(again) is type(refusal), f"{type(refusal).__name__} became {type(again).__name__}")


def _check_models(dialect: Dialect) -> None:
    page = dialect.parse_models(dialect.render_models([ModelInfo(id="m1"), ModelInfo(id="m2")]))
    names = [model.id for model in page.models]
    _hold(names == ["m1", "m2"], f"a list of models became {names}")


def _check_damage(dialect: Dialect, chance: random.Random) -> None:
    """Whatever arrives, a parser answers with a documented error, never with another one."""
    stream = _render(dialect, ANSWERS["a tool call"], End("complete", ("test",)))
    body = dialect.render_reply([*ANSWERS["text"], End("complete", ("test",))], _ENVELOPE)
    for _ in range(300):
        parse_stream(dialect, [_damaged(stream, chance)])
        damaged = _damaged(body, chance)
        _documented(lambda damaged=damaged: dialect.parse_reply(damaged))  # type: ignore[misc]
        _documented(lambda damaged=damaged: dialect.parse_models(damaged))  # type: ignore[misc]
        dialect.parse_error(chance.choice([None, 400, 500]), {}, damaged)


def _documented(parse: Callable[[], object]) -> None:
    try:
        parse()
    except BackstreamError:
        return


def _damaged(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    size = chance.randrange(1, 20)
    junk = chance.choice(
        [b"", b"null", b"[]", b"1e999", b'"', b"{", b"\xff", b"\n\n", b'"x":', bytes([chance.randrange(256)])]
    )
    return data[:at] + junk + data[at + size :]


def _hold(condition: bool, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)
