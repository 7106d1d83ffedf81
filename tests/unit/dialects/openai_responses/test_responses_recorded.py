"""Recorded answers: the chunks they mean, at every cut; and the same meaning after being rendered anew."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.chunks import (
    Citation,
    Content,
    Conversation,
    Finish,
    Logprobs,
    Media,
    PartEnd,
    PartStart,
    Preview,
    Reasoning,
    Refusal,
    Start,
    ToolCallDelta,
    Usage,
)
from backstream.reply import End
from backstream.testing.chop import chop
from support_openai_responses import AIMOCK, DIALECT, NAME, RECORDED, events, folded, joined, parse, problems, render

STOP = Finish(finish={"reason": "stop", "raw": "completed"})
CALLED = Finish(finish={"reason": "tool_calls", "raw": "completed"})
DONE = ("complete", ("response.completed", "framed"), "NoneType")
WHOLE = ("complete", ("completed",), "NoneType")


def start(id_: str, model: str = "gpt-5.4", created: int = 1763800000, tier: str | None = "auto") -> Start:
    return Start(id=id_, model=model, created=created, service_tier=tier)


def over(part: int, kind: str, **own: Any) -> PartEnd:
    return PartEnd(part=part, kind=kind, opaque={NAME: own})


def said(part: int, item_id: str, **members: Any) -> PartEnd:
    kind = members.pop("kind", "text")
    item = {"id": item_id, "status": members.pop("status", "completed")}
    item |= {"phase": members.pop("phase")} if "phase" in members else {}
    return over(part, kind, item=item, **members)


def item_id(chunk: PartStart | PartEnd) -> str:
    own = (chunk.opaque or {})[NAME]
    found: str = own.get("item", own)["id"]
    return found


def goes_on(id_: str) -> Conversation:
    return Conversation(conversation={NAME: {"previous_response_id": id_}})


def counts(asked: int, answered: int, cached: int = 0, reasoned: int = 0) -> tuple[int | None, ...]:
    return asked, answered, asked + answered, cached, reasoned


SOURCE = {
    "type": "url_citation",
    "start_index": 6,
    "end_index": 19,
    "title": "Weather",
    "url": "https://example.com/paris?utm_source=openai",
}
IMAGE = {
    "id": "ig_1",
    "type": "image_generation_call",
    "status": "completed",
    "background": "opaque",
    "output_format": "webp",
    "quality": "low",
    "revised_prompt": "A grey cat.",
    "size": "1024x1024",
}
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "weather in Paris", "queries": ["weather in Paris"]},
}
TEXT_ID = "resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654"

STREAMS: dict[str, list[Any]] = {
    "text": [
        start(TEXT_ID, created=1741290958, tier=None),
        Content(content="Hi there! How can I assist you today?", part=0),
        said(0, "msg_67c9fdcf37fc8190ba82116e33fb28c507b8b0ad4e5eb654"),
        (37, 11, 48, None, 0),
        STOP,
        goes_on(TEXT_ID),
        DONE,
    ],
    "reasoning-calls": [
        start("resp_reasoning_1"),
        Reasoning(token="**Planning**\n\nTwo cities.\n\n**Calling**", part=0),
        over(
            0,
            "reasoning",
            id="rs_1",
            encrypted_content="gAAAAABencrypted1",
            summary=[
                {"type": "summary_text", "text": "**Planning**\n\nTwo cities."},
                {"type": "summary_text", "text": "**Calling**"},
            ],
        ),
        ToolCallDelta(part=1, id="call_1", name="get_weather", arguments='{"city":"Paris"}'),
        over(1, "tool_call", id="fc_1", status="completed"),
        ToolCallDelta(part=2, id="call_2", name="get_weather", arguments='{"city":"Tromsø"}'),
        over(2, "tool_call", id="fc_2", status="completed"),
        counts(82, 117, 64, 64),
        CALLED,
        DONE,  # store is false: nothing to go on from
    ],
    "phases": [
        start("resp_phases_1"),
        over(0, "reasoning", id="rs_2"),
        Content(content="I look it up.", part=1),
        said(1, "msg_1", phase="commentary"),
        Content(content="It is 21 °C.", part=2),
        said(2, "msg_2", phase="final_answer"),
        counts(20, 40, 0, 12),
        STOP,
        goes_on("resp_phases_1"),
        DONE,
    ],
    "reasoning-text": [
        start("resp_open_1", "gpt-oss-120b"),
        Reasoning(token="The user greets.", part=0),
        over(
            0,
            "reasoning",
            id="rs_3",
            status="completed",
            content=[{"type": "reasoning_text", "text": "The user greets."}],
            summary=[],
        ),
        Content(content="Hello!", part=1),
        said(1, "msg_3"),
        counts(9, 8),
        STOP,
        goes_on("resp_open_1"),
        DONE,
    ],
    "web-search": [
        start("resp_search_1"),
        over(0, "opaque", **SEARCH),
        Content(content="Sunny (example.com).", part=1),
        Citation(url=SOURCE["url"], title="Weather", start=6, end=19, part=1, raw={NAME: SOURCE}),
        said(1, "msg_4", annotations=[SOURCE]),
        counts(300, 30),
        STOP,
        goes_on("resp_search_1"),
        DONE,
    ],
    "logprobs": [
        start("resp_logprobs_1", "gpt-4.1"),
        Content(content="Hel", part=0),
        Logprobs(logprobs=[{"token": "Hel", "logprob": -0.25, "bytes": [72, 101, 108], "top_logprobs": []}], part=0),
        Content(content="lo", part=0),
        Logprobs(logprobs=[{"token": "lo", "logprob": -0.25, "bytes": [108, 111], "top_logprobs": []}], part=0),
        said(0, "msg_5"),
        counts(5, 2),
        STOP,
        goes_on("resp_logprobs_1"),
        DONE,
    ],
    "refusal": [
        start("resp_refusal_1", "gpt-4.1"),
        Refusal(refusal="I cannot do that.", part=0),
        said(0, "msg_6", kind="refusal"),
        counts(11, 6),
        STOP,
        goes_on("resp_refusal_1"),
        DONE,
    ],
    "image": [
        start("resp_image_1"),
        Preview(preview="![](data:image/webp;base64,R0lG)", urls="data:image/webp;base64,R0lG"),
        Media(media_type="image/webp", data="UklGRg==", id="ig_1", part=0),
        over(0, "media", **IMAGE),
        counts(50, 300),
        STOP,
        goes_on("resp_image_1"),
        DONE,
    ],
    "incomplete": [
        start("resp_incomplete_1"),
        Content(content="Once upon", part=0),
        said(0, "msg_8", status="incomplete"),
        counts(12, 16),
        Finish(finish={"reason": "length", "raw": "max_output_tokens"}),
        goes_on("resp_incomplete_1"),
        ("complete", ("response.incomplete", "framed"), "NoneType"),
    ],
    "own-tools": [
        start("resp_tools_1"),
        over(0, "opaque", id="mcpl_1", type="mcp_list_tools", server_label="deepwiki", tools=[]),
        over(
            1,
            "opaque",
            id="mcp_1",
            type="mcp_call",
            status="completed",
            approval_request_id=None,
            arguments='{"q":1}',
            error=None,
            name="ask",
            output="yes",
            server_label="deepwiki",
        ),
        over(
            2,
            "opaque",
            id="ctc_1",
            type="custom_tool_call",
            status="completed",
            call_id="call_9",
            input="SELECT 1",
            name="sql",
        ),
        counts(90, 20),
        STOP,
        goes_on("resp_tools_1"),
        DONE,
    ],
    "failed": [start("resp_failed_1"), ("failed", ("error",), "RateLimitError")],
    "error": [
        start("resp_error_1"),
        Content(content="Half an", part=0),
        said(0, "msg_9"),
        ("failed", ("error",), "UnavailableError"),
    ],
}
CAPABILITIES = {
    "text": ["text", "done-evidence", "finish", "usage", "ids"],
    "reasoning-calls": ["tools", "parallel-tools", "reasoning", "reasoning-opaque", "cached-usage"],
    "web-search": ["citations"],
    "logprobs": ["logprobs"],
    "refusal": ["refusal"],
    "image": ["image-out"],
    "error": ["stream-errors"],
}


def plain(block: list[Any]) -> list[Any]:
    """Items, with a count as the numbers that it says."""
    return [
        (item.input_tokens, item.output_tokens, item.total_tokens, item.cached_tokens, item.reasoning_tokens)
        if isinstance(item, Usage)
        else item
        for item in block
    ]


def marked(name: str) -> Any:
    marks = [pytest.mark.capability(NAME, what, "provider") for what in CAPABILITIES.get(name, ())]
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [marked(name) for name in STREAMS])
def test_what_a_recorded_stream_means(name: str) -> None:
    data = (RECORDED / f"{name}.sse").read_bytes()
    whole = parse([data])
    told = {item.part: item_id(item) for item in whole if isinstance(item, PartStart)}
    ended = {item.part: item_id(item) for item in whole if isinstance(item, PartEnd)}
    assert {part: ended.get(part, item) for part, item in told.items()} == told
    assert plain(joined(item for item in whole if not isinstance(item, PartStart))) == STREAMS[name]
    usage = [item for item in whole if isinstance(item, Usage)]
    assert all(item.raw and item.model for item in usage)
    for pieces in chop(data, every_cut_up_to=4096, samples=400):
        assert joined(parse(pieces)) == joined(whole)


@pytest.mark.parametrize("name", STREAMS)
def test_no_recorded_stream_is_complete_when_it_is_cut(name: str) -> None:
    data = (RECORDED / f"{name}.sse").read_bytes()
    last = data.rindex(b"event: ")
    for size in [*range(0, last, 97), last]:
        end = parse([data[:size]], framed=False)[-1]
        assert isinstance(end, End)
        assert end.state != "complete"
        assert end.error is not None


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_rendered_anew_means_the_same(name: str) -> None:
    whole = parse([(RECORDED / f"{name}.sse").read_bytes()])
    stream = render(whole)
    assert [problem for event in events(stream) for problem in problems("ResponseStreamEvent", event)] == []
    again = parse([stream])
    meant, got = folded(whole), folded(again)
    assert got.parts == meant.parts
    assert (got.finish, got.id, got.model, got.logprobs) == (meant.finish, meant.id, meant.model, meant.logprobs)
    assert [citation.raw for citation in got.citations] == [citation.raw for citation in meant.citations]
    assert joined(again)[-1] == joined(whole)[-1]


WHOLES: dict[str, list[Any]] = {
    "text": [
        start("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", created=1741476542, tier=None),
        Content(content="In a peaceful grove", part=0),
        said(0, "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b"),
        counts(36, 87),
        STOP,
        goes_on("resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"),
        WHOLE,
    ],
    "function": [
        start("resp_67ca09c5efe0819096d0511c92b8c890096610f474011cc0", created=1741294021, tier=None),
        ToolCallDelta(
            part=0,
            id="call_unLAR8MvFNptuiZK6K6HCy5k",
            name="get_current_weather",
            arguments='{"location":"Boston, MA","unit":"celsius"}',
        ),
        over(0, "tool_call", id="fc_67ca09c6bedc8190a7abfec07b1a1332096610f474011cc0", status="completed"),
        (291, 23, 314, None, 0),
        CALLED,
        goes_on("resp_67ca09c5efe0819096d0511c92b8c890096610f474011cc0"),
        WHOLE,
    ],
    "reasoning": [
        start("resp_67ccd7eca01881908ff0b5146584e408072912b2993db808", "o1-2024-12-17", 1741477868, None),
        Content(content="The classic tongue twister...", part=0),
        said(0, "msg_67ccd7f7b5848190a6f3e95d809f6b44072912b2993db808"),
        counts(81, 1035, 0, 832),
        STOP,
        goes_on("resp_67ccd7eca01881908ff0b5146584e408072912b2993db808"),
        WHOLE,
    ],
}


@pytest.mark.parametrize("name", WHOLES)
def test_what_a_recorded_whole_answer_means(name: str) -> None:
    got = joined(DIALECT.parse_reply((RECORDED / f"{name}.json").read_bytes()))
    if name == "text":
        assert got[1].text.startswith("In a peaceful grove beneath a silver moon")
        got[1] = WHOLES[name][1]
    assert plain(got) == WHOLES[name]


@pytest.mark.parametrize(("name", "kinds"), [("web-search", "url_citation"), ("file-search", "file_citation")])
def test_the_sources_of_a_recorded_whole_answer(name: str, kinds: str) -> None:
    reply = folded(DIALECT.parse_reply((RECORDED / f"{name}.json").read_bytes()))
    assert {citation.raw[NAME]["type"] for citation in reply.citations if citation.raw} == {kinds}
    assert all((citation.url or citation.title) and citation.start is not None for citation in reply.citations)
    opaque = reply.parts[0].opaque[NAME]
    assert opaque["type"].endswith("_search_call")


# --- an independent mock ----------------------------------------------------------------------------------------------

ARGUMENTS = '{"city":"Paris","days":3}'
MOCKED: dict[str, tuple[str, str, list[str], str | None, str]] = {
    # case → text, reasoning, arguments, finish reason, state
    "text": (
        'Hello, wörld!\nA "quoted" line, a tab\t, a line separator\u2028 and the end.',
        "",
        [],
        "stop",
        "complete",
    ),
    "text-usage": ("Counted.", "", [], "stop", "complete"),
    "text-length": ("Cut off in the mid", "", [], "length", "complete"),
    "text-filtered": ("I would", "", [], None, "failed"),
    "tool": ("", "", [ARGUMENTS], "tool_calls", "complete"),
    "tool-after-text": ("I look it up.", "", [ARGUMENTS], "tool_calls", "complete"),
    "reasoning": ("Hello!", "The user greets me. I greet back.", [], "stop", "complete"),
    "reasoning-tool": ("", "The user greets me. I greet back.", [ARGUMENTS], "tool_calls", "complete"),
    "web-search": ("Sunny.", "", [], "stop", "complete"),
    "truncated": ("", "", [], None, "incomplete"),
    "truncated-tool": ("", "", [], None, "incomplete"),
}


@pytest.mark.parametrize("case", MOCKED)
def test_what_a_stream_of_a_mock_means(case: str) -> None:
    text, reasoning, arguments, reason, state = MOCKED[case]
    data = (AIMOCK / f"{case}.body").read_bytes()
    for pieces in chop(data, every_cut_up_to=0, samples=100):
        block = parse(pieces, framed=not case.startswith("truncated"))
        reply, end = folded(block), block[-1]
        assert (reply.text, reply.reasoning) == (text, reasoning)
        assert [call.arguments for call in reply.tool_calls] == arguments
        assert reply.finish_reason == reason
        assert isinstance(end, End)
        assert end.state == state


@pytest.mark.parametrize("case", [case for case in MOCKED if not case.startswith("truncated")])
def test_what_a_whole_answer_of_a_mock_means(case: str) -> None:
    streamed = folded(parse([(AIMOCK / f"{case}.body").read_bytes()]))
    whole = folded(DIALECT.parse_reply((AIMOCK / f"{case}.whole.body").read_bytes()))
    assert (whole.text, whole.reasoning, whole.finish) == (streamed.text, streamed.reasoning, streamed.finish)
    assert [(call.id, call.arguments) for call in whole.tool_calls] == [
        (call.id, call.arguments) for call in streamed.tool_calls
    ]


@pytest.mark.parametrize(("case", "calls"), [("tool-parallel", 3), ("tool-between-texts", 2)])
def test_several_calls_of_a_mock(case: str, calls: int) -> None:
    reply = folded(parse([(AIMOCK / f"{case}.body").read_bytes()]))
    assert [call.name for call in reply.tool_calls] == ["get_weather"] * calls
    assert len({call.id for call in reply.tool_calls}) == calls


def test_halves_of_a_character_are_joined() -> None:
    """The vendor cuts no character in two; the mock does."""
    data = (AIMOCK / "text-split-emoji.body").read_bytes()
    assert folded(parse([data])).text == "ab🙂cd👩\u200d🚀e"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BackendRequestError"),
        (401, "AuthenticationError"),
        (403, "AuthenticationError"),
        (404, "ModelNotFoundError"),
        (429, "RateLimitError"),
        (500, "UnavailableError"),
        (503, "UnavailableError"),
    ],
)
def test_refusals_of_a_mock(status: int, name: str) -> None:
    error = DIALECT.parse_error(status, {}, (AIMOCK / f"error-{status}.body").read_bytes())
    assert type(error).__name__ == name
    assert str(error).startswith(f"Refused with {status}")


def test_malformed_answers_of_a_mock() -> None:
    block = parse([(AIMOCK / "error-malformed.body").read_bytes()])
    assert joined(block) == [("failed", ("framed",), "IncompleteStream")]
