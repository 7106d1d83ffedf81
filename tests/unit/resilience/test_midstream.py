"""What happens after a break, policy by policy, with routes that play scripts."""

from __future__ import annotations

import asyncio
import functools

import pytest

from backstream.chunks import (
    Citation,
    Content,
    Finish,
    Logprobs,
    PartEnd,
    PartStart,
    ProviderInfo,
    RawResponse,
    Reasoning,
    Start,
    Switched,
    ToolCallDelta,
    Usage,
)
from backstream.client.rounds import ToolRounds
from backstream.client.stream import ChatStream
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    BetweenContentTimeout,
    ConnectError,
    ContentRefusedError,
    DecodeError,
    IncompleteStream,
    TooLargeError,
    UnsupportedFeatureError,
)
from backstream.providers.result import BlockSource
from backstream.reply import Block, Cost, End, Reply
from backstream.request import Request, TextPart, Turn
from backstream.resilience import midstream
from backstream.resilience.continuation import Given, messages_with_begin, with_begin
from backstream.resilience.route import Ask, Route, route_of
from backstream.resilience.settings import MidStreamPolicy, Recovery
from backstream.resilience.stack import build_stack
from backstream.resilience.states import RouteStates
from backstream.tools import ToolLimits
from support_routes import COMPLETE, PlayedRoute, PlayedSource, never, read, says, text_of

TEXT = "Once upon a time there lived an old king, and he had three daughters."
WORDS = [word + " " for word in TEXT.split()]
WORDS[-1] = WORDS[-1].strip()
FINISH = Finish(finish={"reason": "stop"})


def cut(state: str = "incomplete", error: BaseException | None = None) -> End:
    return End(state, ("cut",), error or IncompleteStream("cut off"))  # type: ignore[arg-type]


def breaks(words: int, *, end: End | None = None) -> list[Block | BaseException | asyncio.Event]:
    return says(*WORDS[:words], end=end or cut())


def stack(policy: MidStreamPolicy, *routes: Route) -> Route:
    return build_stack(routes, Recovery(mid_stream=policy, retries=0), RouteStates())


async def switches(source: BlockSource) -> tuple[str, list[Switched]]:
    chunks = await read(source)
    return "".join(map(str, chunks)), [chunk for chunk in chunks if isinstance(chunk, Switched)]


async def reply_of(route: Route, ask: Ask | None = None) -> Reply:
    stream = ChatStream(lambda: route.open(ask or Ask()))
    return await stream.wait()


# --- fail ---


async def test_fail_gives_the_answer_itself() -> None:
    route = midstream.MidStream(stack("fail", PlayedRoute("a/m", breaks(3))), "fail")  # type: ignore[arg-type]
    assert (route.name, route.takes_prefix) == ("a/m", False)
    source = await route.open(Ask())
    assert not isinstance(source, midstream.MendedSource)
    with pytest.raises(IncompleteStream):
        await read(source)


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_a_whole_answer_is_given_as_it_is(policy: MidStreamPolicy) -> None:
    second = PlayedRoute("b/m", says("no"))
    blocks: list[Block | BaseException | asyncio.Event] = [[Reasoning(token="hm")], *says(*WORDS, end=None)]
    route = stack(policy, PlayedRoute("a/m", [*blocks, [FINISH], [COMPLETE]]), second)
    source = await route.open(Ask())
    assert (source.service, route_of(source)) == ("told beside", "a/m")  # type: ignore[attr-defined]
    assert source.relay is None  # type: ignore[attr-defined]
    assert source.pump is None  # type: ignore[attr-defined]
    chunks = await read(source)
    assert "".join(map(str, chunks)) == TEXT
    assert (type(chunks[0]), chunks[-1]) == (Reasoning, FINISH)
    assert not second.asks


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_before_the_first_content_it_is_for_the_wrappers_within(policy: MidStreamPolicy) -> None:
    route = stack(policy, PlayedRoute("a/m", AuthenticationError("no")), PlayedRoute("b/m", says(*WORDS)))
    text, switched = await switches(await route.open(Ask()))
    assert text == TEXT
    assert [(each.from_, each.to, each.kept) for each in switched] == [("a/m", "b/m", "all")]


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
@pytest.mark.parametrize(
    "end",
    [
        cut("failed", ContentRefusedError("no")),
        cut("failed", TooLargeError("line", 5)),
        End("cancelled"),
    ],
)
async def test_what_no_route_would_mend_is_an_end(policy: MidStreamPolicy, end: End) -> None:
    second = PlayedRoute("b/m", says(*WORDS))
    source = await stack(policy, PlayedRoute("a/m", breaks(3, end=end)), second).open(Ask())
    given: Block = []
    while not (given and isinstance(given[-1], End)):
        given += await source.read_block()
    assert given[-1] == end
    assert not second.asks


# --- restart ---


@pytest.mark.parametrize(
    "broken",
    [
        breaks(3),
        breaks(3, end=End("incomplete")),
        breaks(3, end=cut("failed", DecodeError("no JSON"))),
        [*says(*WORDS[:3], end=None), BetweenContentTimeout(1)],
        [*says(*WORDS[:3], end=None), IncompleteStream("cut off")],
        [[Content(content="Once "), Content(content="upon a "), cut()]],
        [[ToolCallDelta(id="1", name="f", arguments="{")], [cut()]],
    ],
)
async def test_restart_voids_what_came_before(broken: list[Block | BaseException | asyncio.Event]) -> None:
    first = PlayedRoute("a/m", [[Usage(usage={"total_tokens": 1})], *broken])
    second = PlayedRoute("b/m", [[Reasoning(token="hm")], *says(*WORDS)])
    route = stack("restart", first, second)
    reply = await reply_of(route)
    assert (reply.text, reply.reasoning, reply.tool_calls, reply.usage) == (TEXT, "hm", (), None)
    assert first.sources[0].closed
    assert second.asks[0].prefix == ""


async def test_restart_tells_who_goes_on_and_why() -> None:
    route = stack("restart", PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", says(*WORDS)))
    text, switched = await switches(await route.open(Ask()))
    assert text == "Once upon a " + TEXT
    assert switched == [Switched(from_="a/m", to="b/m", why="IncompleteStream", kept="nothing")]


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_a_call_with_one_route_asks_it_once_more(policy: MidStreamPolicy) -> None:
    only = PlayedRoute("a/m", breaks(3), says(*WORDS))
    assert (await reply_of(stack(policy, only))).text == TEXT
    assert len(only.asks) == 2


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_and_not_a_second_time(policy: MidStreamPolicy) -> None:
    only = PlayedRoute("a/m", breaks(3), breaks(5), says(*WORDS))
    with pytest.raises(IncompleteStream):
        await reply_of(stack(policy, only))
    assert len(only.asks) == 2


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_every_route_after_it_may_have_to_go_on(policy: MidStreamPolicy) -> None:
    routes = [PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", breaks(5)), PlayedRoute("c/m", says(*WORDS))]
    assert (await reply_of(stack(policy, *routes))).text == TEXT
    assert [len(route.asks) for route in routes] == [1, 1, 1]


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_where_nobody_goes_on_the_error_is_that_of_the_break(policy: MidStreamPolicy) -> None:
    routes = [PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", ConnectError("down"))]
    with pytest.raises(IncompleteStream, match="cut off") as caught:
        await reply_of(stack(policy, *routes))
    assert caught.value.attempts == (("a/m", "IncompleteStream"), ("b/m", "ConnectError"))
    assert "".join(map(str, caught.value.received)) == ("" if policy == "whole" else "Once upon a ")


async def test_usage_and_cost_are_of_the_route_that_answered() -> None:
    asked: list[tuple[Usage, str | None]] = []

    async def cost_of(usage: Usage, model: str | None, route: str) -> Cost:
        asked.append((usage, model))
        return Cost(amount=1.0, currency="EUR", source="provider")

    used = Usage(usage={"total_tokens": 2})
    before: Block = [Start(model="dear"), Usage(usage={"total_tokens": 1})]
    for after in ([], [used]):
        first = PlayedRoute("a/dear", [before, *breaks(3)])
        second = PlayedRoute("b/cheap", [*says(*WORDS, end=None), [*after, COMPLETE]])
        route = stack("restart", first, second)
        stream = ChatStream(functools.partial(route.open, Ask()), cost_of=cost_of)
        reply = await stream.wait()
        assert reply.usage == (used if after else None)
        assert (reply.cost is None) == (not after)
    assert asked == [(used, "cheap")]


async def test_a_round_of_tools_that_was_begun_anew_counts_once() -> None:
    used = Usage(usage={"total_tokens": 2})
    second = PlayedRoute("b/m", [*says(*WORDS, end=None), [COMPLETE]])
    third = PlayedRoute("b/m", [*says(*WORDS, end=None), [used, COMPLETE]])
    for last, usage in ((second, None), (third, used)):
        route = stack("restart", PlayedRoute("a/m", [[Usage(usage={"total_tokens": 1})], *breaks(3)]), last)
        rounds = ToolRounds(lambda _, route=route: route.open(Ask()), {}, ToolLimits())  # type: ignore[misc]
        reply = await ChatStream(rounds.open).wait()
        assert (reply.text, reply.usage) == (TEXT, usage)


# --- continue ---


async def test_continue_gives_the_begin_to_a_route_that_takes_it() -> None:
    second = PlayedRoute("b/prefix", says(*WORDS[3:]))
    text, switched = await switches(await stack("continue", PlayedRoute("a/m", breaks(3)), second).open(Ask()))
    assert text == TEXT
    assert switched == [Switched(from_="a/m", to="b/prefix", why="IncompleteStream", kept="all")]
    assert [ask.prefix for ask in second.asks] == ["Once upon a"]


async def test_a_word_that_may_go_on_is_held_back() -> None:
    first = PlayedRoute("a/m", says("Once up", "on a ti", end=cut()))
    second = PlayedRoute("b/prefix", says("time ", *WORDS[4:]))
    assert (await reply_of(stack("continue", first, second))).text == TEXT
    assert [ask.prefix for ask in second.asks] == ["Once upon a"]


async def test_what_was_held_back_is_given_where_nobody_goes_on() -> None:
    first = PlayedRoute("a/m", says("Once up", "on a ti", end=cut()))
    with pytest.raises(IncompleteStream) as caught:
        await reply_of(stack("continue", first, PlayedRoute("b/m", says("Sorry."))))
    assert caught.value.text == "Once upon a ti"
    assert caught.value.attempts == (("a/m", "IncompleteStream"), ("b/m", "unmatched"))
    assert caught.value.__notes__ == ["also tried b/m: unmatched"]


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_every_route_that_broke_is_named(policy: MidStreamPolicy) -> None:
    with pytest.raises(IncompleteStream) as caught:
        await reply_of(stack(policy, PlayedRoute("a/prefix", breaks(3)), PlayedRoute("b/m", breaks(5))))
    assert caught.value.attempts == (("a/prefix", "IncompleteStream"), ("b/m", "IncompleteStream"))


@pytest.mark.parametrize("refusal", [BackendRequestError("no prefill", status=400), UnsupportedFeatureError("no")])
async def test_a_route_that_refuses_the_begin_is_asked_for_all(refusal: BaseException) -> None:
    second = PlayedRoute("b/prefix", refusal, says(*WORDS))
    text, switched = await switches(await stack("continue", PlayedRoute("a/m", breaks(3)), second).open(Ask()))
    assert (text, len(switched)) == (TEXT, 1)
    assert [ask.prefix for ask in second.asks] == ["Once upon a", ""]


async def test_a_refusal_of_all_is_the_error_of_the_break() -> None:
    second = PlayedRoute("b/prefix", BackendRequestError("no", status=400))
    with pytest.raises(IncompleteStream):
        await reply_of(stack("continue", PlayedRoute("a/m", breaks(3)), second))
    assert len(second.asks) == 2


async def test_what_could_mean_two_things_is_asked_for_from_the_start() -> None:
    second = PlayedRoute("b/prefix", says("a ", *WORDS[3:]), says(*WORDS))
    text, switched = await switches(await stack("continue", PlayedRoute("a/m", breaks(3)), second).open(Ask()))
    assert (text, len(switched)) == (TEXT, 1)
    assert second.sources[0].closed


async def test_a_route_that_breaks_before_it_goes_on_is_passed_over() -> None:
    second = PlayedRoute("b/m", breaks(2), says(*WORDS))
    third = PlayedRoute("c/m", says(*WORDS))
    text, switched = await switches(await stack("continue", PlayedRoute("a/m", breaks(3)), second, third).open(Ask()))
    assert text == TEXT
    assert [each.to for each in switched] == ["c/m"]
    assert [len(second.asks), len(third.asks)] == [1, 1]
    assert second.sources[0].closed


async def test_a_break_of_the_second_within_the_block_that_fits() -> None:
    second = PlayedRoute("b/m", [[Content(content="Once upon a time there "), cut()]])
    third = PlayedRoute("c/m", says(*WORDS))
    text, switched = await switches(await stack("continue", PlayedRoute("a/m", breaks(3)), second, third).open(Ask()))
    assert text == TEXT
    assert [each.to for each in switched] == ["b/m", "c/m"]


async def test_an_answer_that_was_whole_but_for_its_end_just_ends() -> None:
    second = PlayedRoute("b/m", [[Content(content=TEXT), FINISH, COMPLETE]])
    chunks = await read(await stack("continue", PlayedRoute("a/m", breaks(99)), second).open(Ask()))
    assert "".join(map(str, chunks)) == TEXT
    assert chunks[-1] == FINISH


async def test_reasoning_is_not_given_twice() -> None:
    first = PlayedRoute("a/m", [[Reasoning(token="hm", part=0)], *breaks(3)])
    begin: Block = [Start(id="2"), PartStart(kind="reasoning", part=0), Reasoning(token="so", part=0)]
    over = PartEnd(kind="reasoning", part=0)
    second = PlayedRoute("b/prefix", [begin, [over], *says(*WORDS[3:])])
    reply = await reply_of(stack("continue", first, second))
    assert (reply.text, reply.reasoning, reply.id) == (TEXT, "hm", None)


async def test_an_answer_that_only_reasoned_is_begun_anew() -> None:
    first = PlayedRoute("a/m", [[Reasoning(token="hm", part=0)], [cut()]])
    second = PlayedRoute("b/prefix", [[PartStart(kind="text", part=0)], [Content(content=TEXT, part=0)], [COMPLETE]])
    chunks = await read(await stack("continue", first, second).open(Ask()))
    assert [type(chunk) for chunk in chunks] == [Reasoning, Switched, PartStart, Content, Content]
    assert [chunk.part for chunk in chunks[2:]] == [1, 1, 1]  # type: ignore[attr-defined]
    assert "".join(map(str, chunks)) == TEXT
    assert [ask.prefix for ask in second.asks] == [""]


async def test_the_parts_of_the_rest_follow_those_before_it() -> None:
    first: list[Block | BaseException | asyncio.Event] = [[Content(content="Once upon ", part=1)], [cut()]]
    rest: Block = [
        ProviderInfo(provider={"name": "b"}),
        PartStart(kind="text", part=0),
        Logprobs(logprobs=[{"token": "a"}], part=0),
        Content(content="a time ", part=0),
        Citation(url="u", start=1, end=2, part=0),
        Logprobs(logprobs=[{"token": "time"}], part=0),
        PartEnd(kind="text", part=0),
        ToolCallDelta(id="1", name="f", arguments="{}", part=1),
        Usage(usage={"total_tokens": 3}),
    ]
    route = stack("continue", PlayedRoute("a/m", first), PlayedRoute("b/prefix", [rest, [FINISH, COMPLETE]]))
    chunks = await read(await route.open(Ask()))
    assert [chunk for chunk in chunks if not isinstance(chunk, Switched)] == [
        Content(content="Once upon ", part=1),
        ProviderInfo(provider={"name": "b"}),
        Content(content="a time ", part=1),
        Citation(url="u", part=1),
        Logprobs(logprobs=[{"token": "time"}], part=1),
        PartEnd(kind="text", part=1),
        ToolCallDelta(id="1", name="f", arguments="{}", part=3),
        Usage(usage={"total_tokens": 3}),
        FINISH,
    ]


@pytest.mark.parametrize(
    "chunk",
    [
        ToolCallDelta(id="1", name="f", arguments="{"),
        Content(content="![](x)", urls="/x"),
        FINISH,
    ],
)
async def test_what_is_more_than_text_cannot_be_gone_on_from(chunk: RawResponse) -> None:
    second = PlayedRoute("b/prefix", says(*WORDS))
    first = PlayedRoute("a/m", [*says("Once up", end=None), [chunk], [cut()]])
    with pytest.raises(IncompleteStream) as caught:
        await reply_of(stack("continue", first, second))
    assert caught.value.received == (Content(content="Once "), Content(content="up"), chunk)
    assert not second.asks


async def test_a_call_right_behind_the_begin_is_taken_over() -> None:
    rest: Block = [ToolCallDelta(id="1", name="f", arguments="{}"), FINISH, COMPLETE]
    route = stack("continue", PlayedRoute("a/m", breaks(3)), PlayedRoute("b/prefix", [rest]))
    reply = await reply_of(route)
    assert reply.text == "Once upon a "
    assert [call.name for call in reply.tool_calls] == ["f"]


async def test_a_call_of_another_answer_is_not() -> None:
    rest: Block = [Content(content="Once "), ToolCallDelta(id="1", name="f", arguments="{}"), FINISH, COMPLETE]
    with pytest.raises(IncompleteStream):
        await reply_of(stack("continue", PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", [rest])))


def test_a_text_over_the_cap_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.resilience.continuation.MOST_CHARACTERS", 8)
    given = Given()
    assert given.give([Content(content="Once "), Content(content="upon ")])
    assert (given.can_go_on, given.text) == (False, "")


def test_texts_of_other_parts_are_not_joined() -> None:
    given = Given()
    shown = given.give([Content(content="Once up", part=0), Content(content="on", part=1), Content(alt="x")])
    assert shown == [
        Content(content="Once ", part=0),
        Content(content="up", part=0),
        Content(content="on", part=1),
        Content(content="", alt="x"),
    ]


def test_a_begin_is_the_last_turn() -> None:
    request = Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),))
    assert with_begin(request, "") is request
    assert with_begin(request, "Once").turns[1:] == (Turn(role="assistant", parts=(TextPart(text="Once"),)),)
    messages = [{"role": "user", "content": "Hi"}]
    assert messages_with_begin(messages, "") is messages
    assert messages_with_begin(messages, "Once") == [*messages, {"role": "assistant", "content": "Once"}]


# --- whole ---


async def test_whole_gives_nothing_before_the_end() -> None:
    route = stack("whole", PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", [*says(*WORDS, end=None), [COMPLETE]]))
    source = await route.open(Ask())
    block = await source.read_block()
    assert block[0] == Switched(from_="a/m", to="b/m", why="IncompleteStream", kept="all")
    assert "".join(map(str, block[1:-1])) == TEXT
    assert block[-1] == COMPLETE


async def test_whole_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midstream, "MOST_HELD_BYTES", 1000)
    first = PlayedRoute("a/m", says("x" * 500, "y" * 500))
    with pytest.raises(TooLargeError, match="answer larger than the limit of 1000 bytes"):
        await text_of(await stack("whole", first).open(Ask()))
    assert first.sources[0].closed


# --- leaving ---


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
async def test_leaving_while_the_next_route_is_asked_leaves_it(policy: MidStreamPolicy) -> None:
    second = PlayedRoute("b/m", never())
    stream = ChatStream(lambda: stack(policy, PlayedRoute("a/m", breaks(3)), second).open(Ask()))
    reading = asyncio.ensure_future(stream.wait())
    while not second.asks:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert second.left == 1


@pytest.mark.parametrize("policy", ["restart", "continue", "whole"])
@pytest.mark.parametrize("how", ["abort", "aclose"])
async def test_another_task_may_leave_it_too(policy: MidStreamPolicy, how: str) -> None:
    first, second = PlayedRoute("a/m", breaks(3)), PlayedRoute("b/m", never())
    stream = ChatStream(lambda: stack(policy, first, second).open(Ask()))
    reading = asyncio.ensure_future(stream.wait())
    while not second.asks:
        await asyncio.sleep(0)
    if how == "abort":
        stream.abort()
    else:
        await stream.aclose()
    assert (await reading).end == End("cancelled")
    assert second.left == 1
    assert first.sources[0].closed


class QuickRoutes:
    """Routes that answer within one step of the loop."""

    name = "a/m"
    takes_prefix = False
    routes = ()

    def __init__(self) -> None:
        self.sources: list[PlayedSource] = []

    def after(self, name: str) -> QuickRoutes:
        return self

    async def open(self, ask: Ask) -> PlayedSource:
        self.sources.append(PlayedSource(breaks(1)))
        return self.sources[-1]


@pytest.mark.parametrize("how", ["cancelled", "aborted"])
async def test_what_is_opened_while_it_is_left_is_closed(how: str) -> None:
    routes = QuickRoutes()
    source = await midstream.MidStream(routes, "restart").open(Ask())
    await source.read_block()
    reading = asyncio.ensure_future(source.read_block())
    while len(routes.sources) < 2:
        await asyncio.sleep(0)
    if how == "aborted":
        source.abort()
        await reading
    else:
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert routes.sources[1].aborted


async def test_an_answer_left_breaks_without_repair() -> None:
    second = PlayedRoute("b/m", says(*WORDS))
    source = await stack("restart", PlayedRoute("a/m", breaks(1)), second).open(Ask())
    await source.read_block()
    source.abort()
    assert isinstance((await source.read_block())[-1], End)
    assert not second.asks
