"""The calls of one round: at the same time, within limits, everything told to the model."""

import asyncio
import pathlib
import threading

import msgspec
import pydantic
import pytest

from backstream.errors import ConfigurationError, DecodeError, MissingKeyError
from backstream.request.parts import ToolCallPart
from backstream.tools import FunctionTool, ToolLimits, ToolOutcome, collect_tools, run_calls
from backstream.tools.loop import render_result


def call(name, arguments="{}", call_id="1"):
    return ToolCallPart(id=call_id, name=name, arguments=arguments)


def add(a: int, b: int) -> int:
    return a + b


async def shout(text: str) -> str:
    return text.upper()


class Strange(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def failing(kind: str) -> None:
    """Fail in one of many ways."""
    raise {
        "plain": ValueError("no\nsuch   thing"),
        "bare": ValueError(),
        "long": ValueError("x" * 5000),
        "strange": Strange(),
        "ours": MissingKeyError("OpenAI", "OPENAI_API_KEY"),
        "decode": DecodeError("not JSON"),
        "timeout": TimeoutError(),
    }[kind]


TOOLS = collect_tools([add, shout, failing])


async def only(given, tools=TOOLS, limits=None, **more) -> ToolOutcome:
    [outcome] = await run_calls([given], tools, limits, **more)
    return outcome


async def test_results_come_in_the_order_of_the_calls():
    outcomes = await run_calls(
        [call("shout", '{"text": "hi"}', "a"), call("add", '{"a": 1, "b": 2}', "b")], TOOLS, ToolLimits()
    )
    assert [(outcome.call_id, outcome.name, outcome.content, outcome.is_error) for outcome in outcomes] == [
        ("a", "shout", "HI", False),
        ("b", "add", "3", False),
    ]
    assert all(outcome.seconds >= 0 for outcome in outcomes)
    assert await run_calls([], TOOLS) == []


@pytest.mark.parametrize(
    ("given", "content"),
    [
        (call("ad"), "unknown tool 'ad'; did you mean add?"),
        (call("weather"), "unknown tool 'weather'; there are: add, shout, failing"),
        (call("add", "{"), "wrong arguments: not JSON"),
        (call("add", '{"a": 1}'), "wrong arguments: $.b: missing"),
        (call("failing", '{"kind": "plain"}'), "ValueError: no such thing"),
        (call("failing", '{"kind": "bare"}'), "ValueError"),
        (call("failing", '{"kind": "long"}'), "ValueError: " + "x" * 487 + "…"),
        (call("failing", '{"kind": "strange"}'), "Strange"),
        (
            call("failing", '{"kind": "ours"}'),
            "MissingKeyError: OpenAI needs an API key; set OPENAI_API_KEY or pass api_key=",
        ),
        (call("failing", '{"kind": "decode"}'), "DecodeError: not JSON"),
        (call("failing", '{"kind": "timeout"}'), "TimeoutError"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_model(given, content):
    outcome = await only(given)
    assert (outcome.content, outcome.is_error, outcome.call_id) == (content, True, "1")


async def test_without_tools_none_are_named():
    assert (await only(call("add"), {})).content == "unknown tool 'add'; there are: none"


async def test_calls_run_at_the_same_time():
    barrier = asyncio.Barrier(3)

    async def meet() -> str:
        await barrier.wait()
        return "met"

    outcomes = await run_calls([call("meet")] * 3, collect_tools([meet]), ToolLimits(max_parallel=3))
    assert [outcome.content for outcome in outcomes] == ["met"] * 3


async def test_no_more_calls_than_allowed_run_at_the_same_time():
    running: list[int] = []
    most: list[int] = []

    async def work() -> None:
        running.append(1)
        most.append(len(running))
        for _ in range(5):
            await asyncio.sleep(0)
        running.pop()

    await run_calls([call("work")] * 6, collect_tools([work]), ToolLimits(max_parallel=2))
    assert max(most) == 2
    assert len(most) == 6


async def test_too_many_calls_are_not_run():
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    outcomes = await run_calls([call("work")] * 4, collect_tools([work]), ToolLimits(max_calls=3))
    assert [outcome.is_error for outcome in outcomes] == [False, False, False, True]
    assert outcomes[3].content == "not run: more than 3 calls at once"
    assert len(ran) == 3


async def test_a_call_that_takes_too_long_ends_alone():
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")

    tools = {**TOOLS, **collect_tools([hang])}
    outcomes = await run_calls(
        [call("hang"), call("hang"), call("add", '{"a": 1, "b": 2}')],
        tools,
        ToolLimits(round_seconds=0.02, max_parallel=2),
    )
    assert outcomes[0].content == "the tool was not over in time"
    assert outcomes[2].content == "not run: no time was left"
    assert outcomes[2].seconds == 0
    assert ended == ["hang", "hang"]


async def test_what_is_left_of_all_the_time_counts_too():
    async def hang() -> None:
        await asyncio.Event().wait()

    tools = collect_tools([hang])
    assert (await only(call("hang"), tools, seconds=0.01)).content == "the tool was not over in time"
    endless = ToolLimits(round_seconds=None)
    assert (await only(call("hang"), tools, endless, seconds=0.01)).content == "the tool was not over in time"
    assert (await only(call("add", '{"a": 1, "b": 2}'), TOOLS, endless)).content == "3"


async def test_a_thread_that_goes_on_does_not_hold_the_round():
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait()

    outcome = await only(call("hang"), collect_tools([hang]), ToolLimits(round_seconds=0.02))
    assert outcome.content == "the tool was not over in time"
    go_on.set()


async def test_cancelling_the_caller_cancels_the_tools():
    story: list[str] = []
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            story.append("tool ended")

    task = asyncio.create_task(run_calls([call("hang")], collect_tools([hang])))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert story == ["tool ended"]


async def test_a_tool_that_was_cancelled_elsewhere_is_an_error_for_the_model():
    async def broken() -> None:
        raise asyncio.CancelledError

    outcomes = await run_calls([call("broken"), call("add", '{"a": 1, "b": 2}')], {**TOOLS, **collect_tools([broken])})
    assert [outcome.content for outcome in outcomes] == ["CancelledError", "3"]


async def test_a_long_result_is_cut_between_characters():
    def long() -> str:
        return "é" * 10

    limits = ToolLimits(max_result_bytes=5)
    assert (await only(call("long"), collect_tools([long]), limits)).content == "éé\n[cut off: 5 of 20 bytes]"
    assert (await only(call("long"), collect_tools([long]), ToolLimits(max_result_bytes=20))).content == "é" * 10


class Point(msgspec.Struct):
    x: int


class Model(pydantic.BaseModel):
    y: int


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("text", "text"),
        (None, ""),
        (True, "true"),
        ({"a": [1, "b", None]}, '{"a":[1,"b",null]}'),
        ([Point(1), Model(y=2), pathlib.PurePosixPath("a/b")], '[{"x":1},{"y":2},"a/b"]'),
    ],
)
def test_results_are_said_as_text(result, text):
    assert render_result(result) == text


@pytest.mark.parametrize("result", [b"x", bytearray(b"x"), object(), [object()]])
async def test_a_result_without_a_text_is_an_error(result):
    def give():
        return result

    outcome = await only(call("give"), collect_tools([give]))
    assert outcome.is_error
    assert outcome.content.startswith("TypeError: the tool returned ")


@pytest.mark.parametrize(
    "limits",
    [
        {"max_rounds": 0},
        {"max_parallel": True},
        {"max_calls": 1.5},
        {"round_seconds": -1},
        {"total_seconds": "1"},
        {"max_result_bytes": None},
    ],
)
def test_limits_are_positive_numbers(limits):
    with pytest.raises(ConfigurationError, match=f"tool limit {next(iter(limits))}="):
        ToolLimits(**limits)


def test_a_limit_of_time_may_be_none():
    assert ToolLimits(round_seconds=None, total_seconds=1.5).total_seconds == 1.5
    assert isinstance(TOOLS["add"], FunctionTool)
