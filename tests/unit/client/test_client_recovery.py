"""Calls of the client that survive trouble: again, elsewhere, in rounds; with which settings, keys and clocks."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream import (
    AuthenticationError,
    BetweenContentTimeout,
    CallOptions,
    Client,
    ConfigurationError,
    ConnectError,
    Content,
    ContentRefusedError,
    Deadlines,
    Finish,
    FirstContentTimeout,
    IncompleteStream,
    InvalidRequestError,
    MissingKeyError,
    RateLimitError,
    Recovery,
    Secret,
    Start,
    Switched,
    SyncClient,
    ToolCalls,
    TotalTimeout,
    UnavailableError,
    UnknownModelError,
    Usage,
)
from backstream.client.again import can_be_sent_again
from backstream.client.call import Call
from backstream.client.terms import Terms
from backstream.registry.config import Config, load_config
from backstream.registry.registry import Registry
from backstream.testing.upstream import Close, ReadRequest, Reset, ScriptedUpstream, Send, Step
from support_routes import Sleeps
from support_transport import CHUNKED, LAST_CHUNK, chunk, no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

DONE = Finish(finish={"reason": "stop"})
DOWN = UnavailableError("down", status=503)
REFUSED = AuthenticationError("no", status=401)
HI = [Content(content="Hi"), DONE]
CALLING = [
    ToolCalls(tool_calls=[{"id": "1", "function": {"name": "look", "arguments": "{}"}}]),
    Finish(finish={"reason": "tool_calls"}),
]


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"HOME": str(tmp_path), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


def patient(client: Client) -> Sleeps:
    """Let a client wait for nothing; gives what it would have waited."""
    client._sleep = sleeps = Sleeps()  # type: ignore[assignment]
    return sleeps


class Played:
    """A provider that plays, for each model, the next of its scripts: chunks, errors, ``None`` to wait for ever."""

    def __init__(self, **scripts: list[list[Any]]) -> None:
        self.scripts = scripts
        self.asked: list[tuple[str, list[Any], dict[str, Any]]] = []

    @property
    def models(self) -> list[str]:
        return [model for model, _, _ in self.asked]

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        self.asked.append((model, list(messages), keywords))
        scripts = self.scripts[model]
        for step in scripts.pop(0) if len(scripts) > 1 else scripts[0]:
            if isinstance(step, Exception):
                raise step
            if step is None:
                await asyncio.Event().wait()
            yield step

    async def embed(self, model: str, subject: Any, **keywords: Any) -> str:
        self.asked.append((model, [subject], keywords))
        step = self.scripts[model].pop(0)[0]
        if isinstance(step, Exception):
            raise step
        if step is None:
            await asyncio.Event().wait()
        return str(step)

    images = count_tokens = embed


def look() -> str:
    """Look."""
    return "seen"


def event(members: object) -> bytes:
    return chunk(b"data: " + json.dumps(members).encode() + b"\n\n")


def answer(*words: str, whole: bool = True) -> list[Step]:
    deltas = [event({"id": "1", "choices": [{"index": 0, "delta": {"content": word}}]}) for word in words]
    finish = event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    tail = finish + chunk(b"data: [DONE]\n\n") + LAST_CHUNK
    return [ReadRequest(), Send(CHUNKED + b"".join(deltas) + (tail if whole else b"")), Close()]


def refuses(status: str, *fields: str) -> list[Step]:
    return [ReadRequest(), Send(ok(b"{}", "Content-Type: application/json", *fields, status=status)), Close()]


# --- again, and elsewhere ---------------------------------------------------------------------------------------------


async def test_what_may_pass_is_asked_again(environ: Mapping[str, str]) -> None:
    provider = Played(m=[[DOWN], [RateLimitError("slow", status=429, retry_after_seconds=3)], HI])
    async with Client(environ=environ) as client:
        sleeps = patient(client)
        stream = client.stream("m", "Hi", provider=provider)
        reply = await stream.wait()
    assert (reply.text, reply.route, reply.switches, reply.model) == ("Hi", "Played/m", (), None)
    assert stream.route == "Played/m"
    assert len(sleeps.seconds) == 2
    assert sleeps.seconds[1] >= 3


async def test_of_several_models_the_next_one_is_asked(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[REFUSED]], b=[[IncompleteStream("nothing came")]], c=[HI])
    async with Client(environ=environ) as client:
        stream = client.stream(("a", "b", "a", "c"), "Hi", provider=provider)
        chunks = [each async for each in stream]
    reply = stream.reply
    assert provider.models == ["a", "b", "c"]
    assert [(each.from_, each.to, each.why) for each in reply.switches] == [
        ("Played/a", "Played/b", "AuthenticationError"),
        ("Played/b", "Played/c", "IncompleteStream"),
    ]
    assert (reply.route, reply.model, reply.text) == ("Played/c", "c", "Hi")
    assert [each for each in chunks if isinstance(each, Switched)] == list(reply.switches)


@pytest.mark.parametrize(("policy", "named"), [("restart", "b-2026"), ("continue", "b"), ("whole", "b-2026")])
async def test_the_reply_names_the_model_that_ended_it(environ: Mapping[str, str], policy: str, named: str) -> None:
    first = [Start(model="a-2026"), Content(content="One two three "), DOWN]
    provider = Played(a=[first], b=[[Start(model="b-2026"), Content(content="One two three four."), DONE]])
    async with Client(environ=environ) as client:
        patient(client)
        reply = await client.chat(["a", "b"], "Hi", provider=provider, mid_stream=policy, retries=0)
    assert (reply.text, reply.model, reply.route) == ("One two three four.", named, "Played/b")


async def test_a_policy_is_not_gone_around(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[ContentRefusedError("no", status=400)]], b=[HI])
    async with Client(environ=environ) as client:
        with pytest.raises(ContentRefusedError):
            await client.chat(["a", "b"], "Hi", provider=provider)
    assert provider.models == ["a"]


async def test_a_silent_model_is_left(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[None]], b=[HI])
    async with Client(environ=environ) as client:
        reply = await client.chat(["a", "b"], "Hi", provider=provider, switch_after=0.005)
        assert [each.why for each in reply.switches] == ["silence"]
        reply = await client.chat(["a", "b"], "Hi", provider=provider, hedge_after=0.005, switch_after=None)
        assert reply.route == "Played/b"


async def test_a_route_that_keeps_failing_rests(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[DOWN]])
    async with Client(environ=environ, recovery=Recovery(retries=0)) as client:
        for _ in range(4):
            with pytest.raises(UnavailableError):
                await client.chat("a", "Hi", provider=provider)
        assert [(each.name, each.state, each.failures) for each in client.routes()] == [("Played/a", "open", 3)]
    assert len(provider.asked) == 3
    async with Client(environ=environ) as other:  # what one client knows is its own
        assert other.routes() == []


BROKEN = [Usage(usage={"prompt_tokens": 1}), Content(content="Hel"), IncompleteStream("cut")]


@pytest.mark.parametrize(("policy", "texts"), [("restart", ["Hel", None, "Hi"]), ("whole", [None, "Hi"])])
async def test_an_answer_that_breaks_is_repaired(
    environ: Mapping[str, str], policy: Any, texts: list[str | None]
) -> None:
    seen: list[str | None] = []
    async with Client(environ=environ, recovery=Recovery(mid_stream="fail")) as client:
        stream = client.stream(["a", "b"], "Hi", provider=Played(a=[BROKEN], b=[HI]), mid_stream=policy)
        async for each in stream:
            seen += [each.content] if isinstance(each, Content) else [None] * isinstance(each, Switched)
    assert seen == texts
    assert (stream.reply.text, stream.reply.usage, stream.reply.route) == ("Hi", None, "Played/b")


async def test_an_answer_that_stays_broken_says_what_came(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ, recovery=Recovery(mid_stream="whole")) as client:
        stream = client.stream(["a", "b"], "Hi", provider=Played(a=[BROKEN], b=[HI]), mid_stream="fail")
        with pytest.raises(IncompleteStream) as caught:
            await stream.wait()
    assert (caught.value.text, caught.value.usage) == ("Hel", BROKEN[0])
    assert list(caught.value.received) == BROKEN[:2]
    assert stream.end is not None
    assert (stream.end.state, stream.end.evidence) == ("incomplete", ("disconnected",))
    assert stream.end.advice.startswith("what came is on the error")
    assert stream.reply.usage == BROKEN[0]


async def test_an_answer_goes_on_where_it_broke(environ: Mapping[str, str], tmp_path: Path) -> None:
    rest = '{"model":"b","message":{"role":"assistant","content":"three four."},"done":false}\n'
    rest += '{"model":"b","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}\n'
    going_on = [ReadRequest(), Send(ok(rest.encode(), "Content-Type: application/x-ndjson")), Close()]
    async with (
        ScriptedUpstream(answer("one", " two ", whole=False)) as first,
        ScriptedUpstream(going_on) as second,
    ):
        path = tmp_path / "backstream.toml"
        path.write_text(
            f'[providers.a]\nurl = "{first.url}"\n[providers.b]\nurl = "{second.url}"\ndialect = "ollama"\n'
            '[routes]\nboth = { to = ["a/m", "b/m"], mid_stream = "continue" }\n'
        )
        async with Client(path, environ=environ) as client:
            reply = await client.chat("both", "Count.")
        sent = json.loads(second.requests[0].body)["messages"]
    assert (reply.text, reply.route, reply.model) == ("one two three four.", "b/m", "m")
    assert [each["content"] for each in sent] == ["Count.", "one two"]


async def test_a_begin_of_the_callers_own_is_not_added_to(environ: Mapping[str, str]) -> None:
    provider = Played(
        a=[[Content(content="one two "), IncompleteStream("cut")], [Content(content="one two three"), DONE]]
    )
    messages = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "zero"}]
    async with Client(environ=environ) as client:
        reply = await client.chat("a", messages, provider=provider, mid_stream="continue")
    assert reply.text == "one two three"
    assert [sent for _, sent, _ in provider.asked] == [messages, messages]


# --- who is asked -----------------------------------------------------------------------------------------------------


async def test_an_unknown_model_among_several_is_passed_over(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        reply = await client.chat(["no-such/model", "openai/gpt-5", "echo/echo"], "Hi")
        assert [each.why for each in reply.switches] == ["UnknownProviderError", "MissingKeyError"]
        assert reply.route == "echo/echo"
        with pytest.raises(MissingKeyError) as caught:
            await client.chat(["openai/gpt-5", "anthropic/claude-opus-4-5"], "Hi")
        assert [name for name, _ in caught.value.attempts] == ["openai/gpt-5", "anthropic/claude-opus-4-5"]


async def test_a_configured_name_is_sent_though_no_list_has_it(environ: Mapping[str, str], tmp_path: Path) -> None:
    async with ScriptedUpstream(answer("Hi")) as upstream:
        path = tmp_path / "backstream.toml"
        path.write_text(f'[providers.a]\nurl = "{upstream.url}"\nmodels = ["known"]\n[aliases]\nmine = "a/new-model"\n')
        async with Client(path, environ=environ) as client:
            reply = await client.chat(["mine"], "Hi")
        assert json.loads(upstream.requests[0].body)["model"] == "new-model"
    assert reply.route == "a/new-model"


async def test_a_server_without_a_name_is_a_route_by_its_place(environ: Mapping[str, str]) -> None:
    async with ScriptedUpstream(refuses("403 Forbidden"), answer("Hi")) as upstream, Client(environ=environ) as client:
        reply = await client.chat(["x/a", "b"], "Hi", url=f"{upstream.url}/v1", retries=0)
        place = upstream.url.removeprefix("http://")
        assert (reply.route, reply.switches[0].from_) == (f"{place}/b", f"{place}/x/a")
        with pytest.raises(ConfigurationError):
            await client.chat("a", "Hi", url="http://user:secret@127.0.0.1/v1")


@pytest.mark.parametrize("model", [[], [""], ["a", 5], 5, b"a", {"a": 1}])
async def test_what_names_no_models(environ: Mapping[str, str], model: Any) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(InvalidRequestError, match="neither a name nor a list"):
            client.stream(model, "Hi", provider=Played())


async def test_one_key_is_not_shown_to_two_providers(environ: Mapping[str, str], tmp_path: Path) -> None:
    async with ScriptedUpstream(refuses("401 Unauthorized")) as first, ScriptedUpstream(answer("Hi")) as second:
        path = tmp_path / "backstream.toml"
        path.write_text(
            f'[providers.a]\nurl = "{first.url}"\n[providers.b]\nurl = "{second.url}"\n'
            '[routes]\nboth = ["a/m", "b/m"]\n'
        )
        async with Client(path, environ=environ) as client:
            for key in ("canary", Secret("canary")):
                for model in (["a/m", "b/m"], "both"):
                    with pytest.raises(InvalidRequestError, match="dict of keys by provider"):
                        await client.chat(model, "Hi", api_key=key)
            assert (await client.chat("both", "Hi", api_key={"a": "key-a", "b": "key-b"})).text == "Hi"
        assert [each.requests[0].headers["authorization"] for each in (first, second)] == [
            "Bearer key-a",
            "Bearer key-b",
        ]


async def test_a_provider_of_its_own_gets_its_own_key_of_several(environ: Mapping[str, str]) -> None:
    class Plug(Played):
        pass

    plug = Plug(m=[HI])
    registry = Registry(Config(), environ)
    registry.row = lambda name: None  # type: ignore[method-assign]

    async def provider(name: str, api_key: Any = None) -> Any:
        return plug

    async def resolve(name: str | None) -> Any:
        from backstream.registry.names import Target

        return Target(str(name).partition("/")[0], "m")

    registry.provider, registry.resolve = provider, resolve  # type: ignore[method-assign, assignment]
    async with Client(registry=registry) as client:
        await client.chat(["one/m", "two/m"], "Hi", api_key={"one": "k-1", "two": "k-2"})
        await client.chat("one/m", "Hi", api_key={"one": "k-1", "two": "k-2"})
    assert [keywords["api_key"] for _, _, keywords in plug.asked] == ["k-1", {"one": "k-1", "two": "k-2"}]


# --- what holds -------------------------------------------------------------------------------------------------------


def terms(parameters: Mapping[str, Any], text: str, folder: Path, route: str | None = None, **own: Any) -> Terms:
    path = folder / "terms.toml"
    path.write_text(text)
    given = {"deadlines": None, "recovery": None, "receipts": None, **own}
    return Terms(parameters, load_config(path, environ={}), route, **given)


CONFIGURED = """
[defaults]
deadlines = { total = 100 }
[defaults.recovery]
retries = 1
mid_stream = "whole"
[providers.work]
url = "http://127.0.0.1:1"
retries = 4
max_concurrent = 2
deadlines = { total = 90, idle = 5 }
[routes]
smart = { to = ["work/m"], retries = 3, deadlines = { total = 80 } }
"""


def test_the_nearest_setting_holds(tmp_path: Path) -> None:
    plain = terms({}, CONFIGURED, tmp_path)
    assert plain.recovery("echo") == Recovery(retries=1, mid_stream="whole")
    assert plain.recovery("work") == Recovery(retries=4, mid_stream="whole", max_concurrent=2)
    assert (plain.deadlines("echo"), plain.deadlines()) == (Deadlines(total=100), Deadlines(total=100))
    assert plain.deadlines("work") == Deadlines(total=90, idle=5)
    listed = terms({}, CONFIGURED, tmp_path, "smart")
    assert listed.recovery("work") == Recovery(retries=3, mid_stream="whole", max_concurrent=2)
    assert listed.deadlines("work") == Deadlines(total=80, idle=5)
    clients = terms({"retries": 0}, CONFIGURED, tmp_path, recovery=Recovery(hedge_after=1), deadlines=Deadlines(idle=9))
    assert clients.recovery("work") == Recovery(retries=0, hedge_after=1)
    assert clients.deadlines("work") == Deadlines(idle=9)
    calls = {"recovery": Recovery(retries=2), "mid_stream": "fail", "timeout": 3, "options": CallOptions()}
    own = terms(calls, CONFIGURED, tmp_path, recovery=Recovery(hedge_after=1), deadlines=Deadlines(idle=9))
    assert (own.recovery("work"), own.deadlines("work")) == (Recovery(), Deadlines(idle=3))


def test_settings_that_cannot_work_are_told_at_once(environ: Mapping[str, str]) -> None:
    client = Client(environ=environ)
    for keywords, told in (
        ({"retries": 99}, "retries=99"),
        ({"mid_stream": "often"}, "use one of fail, restart"),
        ({"hedge_after": 0}, "hedge_after=0"),
        ({"recovery": {}}, "no Recovery object"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            client.stream("echo/echo", "Hi", **keywords)


def test_a_call_names_the_list_it_is_for() -> None:
    call = Call(model=["a", "b"], provider=None, url=None, api_key=None)
    assert call.models == ("a", "b")
    assert Call(model=None, provider=None, url=None, api_key=None).models == (None,)


# --- rounds -----------------------------------------------------------------------------------------------------------


async def test_each_round_survives_and_goes_on_with_who_answered(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[REFUSED]], b=[CALLING, [DOWN], HI])
    async with Client(environ=environ) as client:
        patient(client)
        reply = await client.chat(["a", "b"], "Hi", provider=provider, tools=[look], run_tools=True)
    assert provider.models == ["a", "b", "b", "b"]
    assert (reply.text, reply.route, reply.receipts, reply.service) == ("Hi", "Played/b", (), None)


async def test_a_broken_round_is_begun_anew(environ: Mapping[str, str]) -> None:
    used = Usage(usage={"prompt_tokens": 9, "completion_tokens": 9})
    right = Usage(usage={"prompt_tokens": 1, "completion_tokens": 1})
    provider = Played(
        a=[[*CALLING, right], [used, Content(content="Hel"), IncompleteStream("cut")]],
        b=[[Content(content="Hi"), DONE, right]],
    )
    async with Client(environ=environ) as client:
        stream = client.stream(["a", "b"], "Hi", provider=provider, tools=[look], run_tools=True, mid_stream="restart")
        reply = await stream.wait()
    assert (reply.text, reply.route, reply.usage and reply.usage.input_tokens) == ("Hi", "Played/b", 2)
    assert [each["role"] for each in stream.history] == ["assistant", "tool", "assistant"]


# --- clocks -----------------------------------------------------------------------------------------------------------


async def test_a_provider_without_clocks_is_held_to_those_of_the_call(environ: Mapping[str, str]) -> None:
    provider = Played(silent=[[None]], stalls=[[Content(content="Hel"), None]], own=[[TimeoutError("its own")]])
    async with Client(environ=environ) as client:
        for model, clocks, error in (
            ("silent", Deadlines(first_content=0.01, total=30), FirstContentTimeout),
            ("silent", Deadlines(total=0.01, first_content=30), TotalTimeout),
            ("stalls", Deadlines(between_content=0.01, first_content=30), BetweenContentTimeout),
            ("stalls", Deadlines(total=0.01), TotalTimeout),
        ):
            with pytest.raises(error) as caught:
                await client.chat(model, "Hi", provider=provider, deadlines=clocks)
            assert (caught.value.seconds, len(caught.value.received)) == (0.01, int(model == "stalls"))  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError, match="its own"):
            await client.chat("own", "Hi", provider=provider, deadlines=Deadlines(total=30))


async def test_the_whole_time_covers_switches_and_waits(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[REFUSED]], b=[[None]])
    async with Client(environ=environ) as client:
        stream = client.stream(["a", "b"], "Hi", provider=provider, deadlines=Deadlines(total=0.02))
        with pytest.raises(TotalTimeout, match=r"within 0\.02 s"):
            await stream.wait()
        assert stream.end is not None
        assert stream.end.advice == "ask again, or give 'total' more than 0.02 s"
    later = RateLimitError("slow", status=429, retry_after_seconds=30)
    async with Client(environ=environ) as client:
        with pytest.raises(RateLimitError):  # the wait would reach past the end, so it is not begun
            await client.chat("a", "Hi", provider=Played(a=[[later]]), deadlines=Deadlines(total=20))


async def test_making_a_provider_is_within_the_time(environ: Mapping[str, str]) -> None:
    registry = Registry(Config(), environ)

    async def stuck(name: str, api_key: Any = None) -> Any:
        await asyncio.Event().wait()

    async def late(name: str, api_key: Any = None) -> Any:
        raise TimeoutError("its own")

    registry.provider = stuck  # type: ignore[method-assign]
    async with Client(registry=registry) as client:
        with pytest.raises(TotalTimeout) as caught:
            await client.chat("echo/echo", "Hi", deadlines=Deadlines(total=0.01))
        assert not caught.value.request_sent
        registry.provider = late  # type: ignore[method-assign]
        with pytest.raises(TimeoutError, match="its own"):
            await client.chat("echo/echo", "Hi", deadlines=Deadlines(total=30))


# --- media ------------------------------------------------------------------------------------------------------------


def test_what_can_be_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Plain:
        def read(self) -> bytes:
            return b""

    closed = io.BytesIO()
    closed.close()
    good: list[Any] = [
        None,
        [],
        [b"x"],
        [file],
        [(file, "b.txt")],
        [tmp_path / "none"],
        [io.BytesIO(b"x")],
        [closed],
        [()],
    ]
    assert [can_be_sent_again(each) for each in good] == [True] * len(good)
    for item in (pipe, Stream(b"x"), Plain()):
        assert not can_be_sent_again([b"x", (item, "b.txt")])  # type: ignore[list-item]


async def test_what_cannot_be_sent_again_is_sent_once(environ: Mapping[str, str]) -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    provider = Played(a=[[DOWN]], b=[HI])
    async with Client(environ=environ) as client:
        with pytest.raises(UnavailableError):
            await client.chat(["a", "b"], "Hi", provider=provider, media=[(Stream(b"text"), "a.txt")])
        assert provider.models == ["a"]


# --- beside conversations ---------------------------------------------------------------------------------------------


async def test_questions_that_make_nothing_are_asked_again(environ: Mapping[str, str]) -> None:
    provider = Played(m=[[DOWN], ["vectors"], [DOWN], ["tokens"], [DOWN], ["picture"]])
    async with Client(environ=environ) as client:
        patient(client)
        assert await client.embed("m", "Hi", provider=provider, api_key="k") == "vectors"
        assert await client.count_tokens("m", "Hi", provider=provider) == "tokens"  # type: ignore[comparison-overlap]
        with pytest.raises(UnavailableError):
            await client.images("m", "Hi", provider=provider)
    assert provider.asked[0][2] == {"api_key": "k"}


async def test_a_question_is_for_one_model(environ: Mapping[str, str]) -> None:
    async with Client(environ=environ) as client:
        with pytest.raises(InvalidRequestError, match="embed takes one model"):
            await client.embed(["a", "b"], "Hi", provider=Played())  # type: ignore[arg-type]


async def test_a_question_is_within_the_time(environ: Mapping[str, str]) -> None:
    provider = Played(m=[[None], [TimeoutError("its own")]])
    async with Client(environ=environ) as client:
        with pytest.raises(TotalTimeout):
            await client.embed("m", "Hi", provider=provider, deadlines=Deadlines(total=0.01))
        with pytest.raises(TimeoutError, match="its own"):
            await client.embed("m", "Hi", provider=provider, deadlines=Deadlines(total=30))


async def test_a_question_over_http_is_asked_again(environ: Mapping[str, str]) -> None:
    body = b'{"data": [{"index": 0, "embedding": [1.0]}], "model": "m"}'
    good = [ReadRequest(), Send(ok(body, "Content-Type: application/json")), Close()]
    async with ScriptedUpstream([ReadRequest(), Reset()], good) as upstream, Client(environ=environ) as client:
        patient(client)
        assert (await client.embed("m", "Hi", url=f"{upstream.url}/v1")).vectors == ((1.0,),)
        assert [(each.failures, each.running) for each in client.routes()] == [(0, 0)]


# --- without async ----------------------------------------------------------------------------------------------------


def test_the_same_without_async(environ: Mapping[str, str]) -> None:
    provider = Played(a=[[REFUSED]], b=[HI])
    with SyncClient(environ=environ, recovery=Recovery(retries=0)) as client:
        stream = client.stream(["a", "b"], "Hi", provider=provider)
        assert [type(each) for each in stream] == [Switched, Content, Finish]
        assert (stream.route, stream.reply.route) == ("Played/b", "Played/b")
        assert [each.name for each in client.routes()] == ["Played/a", "Played/b"]


async def test_one_unknown_name_alone_is_told_as_it_is(environ: Mapping[str, str]) -> None:
    async def nothing(rows: Any) -> list[Any]:
        return []

    async with Client(registry=Registry(Config(), environ, probe=nothing)) as client:
        with pytest.raises(UnknownModelError) as caught:
            await client.chat("no-such-model", "Hi")
        assert caught.value.attempts == ()
        with pytest.raises(ConnectError):
            await client.chat("a", "Hi", url="http://127.0.0.1:1/v1", retries=0)


async def test_clocks_of_one_call_do_not_let_a_route_rest_for_others(environ: Mapping[str, str]) -> None:
    def stalls() -> list[Step]:
        word = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
        return [ReadRequest(), Send(CHUNKED + chunk(word)), ReadRequest()]

    async with ScriptedUpstream(*[stalls()] * 5) as upstream, Client(registry=Registry(Config(), environ)) as client:
        for seconds in (0.01, 0.02, 0.01, 0.02):
            with pytest.raises(BetweenContentTimeout):
                await client.chat("m", "Hi", url=upstream.url, deadlines=Deadlines(between_content=seconds))
        assert [route.state for route in client.routes()] == ["closed"]
