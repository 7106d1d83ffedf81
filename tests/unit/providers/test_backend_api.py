"""``BackendApi`` against a real server on a real socket: the embedded one, and one of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backstream import (
    AsyncGeneratorProvider,
    BackendApi,
    ConfigurationError,
    Content,
    Finish,
    IncompleteStream,
    InvalidMediaError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderModelMixin,
    RateLimitError,
    Reasoning,
    ToolCalls,
    UnavailableError,
    UnsupportedFeatureError,
    Usage,
    fold,
    sync_iter,
)
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from support_server import running

HI: Any = [{"role": "user", "content": "Grüße 😀"}]
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\x90\x08\x02\x00\x00\x00" + b"pixels" * 1000


async def text_of(answer: Any) -> str:
    return "".join([str(chunk) async for chunk in answer])


# --- the embedded backend ---------------------------------------------------------------------------------------------


async def test_it_works_on_a_machine_with_nothing_else() -> None:
    answer = BackendApi.create_async_generator("echo", HI)
    chunks = [chunk async for chunk in answer]
    assert "“Grüße 😀”" in fold(chunks).text
    assert isinstance(chunks[-1], Usage)
    assert isinstance(chunks[-2], Finish)
    assert answer.end is not None
    assert answer.end.state == "complete"


async def test_both_spellings_work() -> None:
    generator = await BackendApi.create_async_generator("echo", HI)
    assert await text_of(generator) == await text_of(BackendApi.create_async_generator("echo", HI))


async def test_a_picture_arrives_whole_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    media = [path, (path, "named.png"), [PNG, None], bytearray(PNG), memoryview(PNG), io.BytesIO(PNG), path.open("rb")]
    before = list(media)
    text = await text_of(BackendApi.create_async_generator("echo", HI, media=media))
    assert media == before
    media[-1].close()  # type: ignore[union-attr]
    assert text.count(hashlib.sha256(PNG).hexdigest()) == len(media)
    assert text.count(f"image/png, {len(PNG):,} bytes, 640 × 400 pixels") == len(media)
    assert "`cat.png`" in text
    assert "`named.png`" in text


async def test_a_large_upload_arrives_whole(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    data = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + os.urandom(5_000_000)
    film.write_bytes(data)
    text = await text_of(BackendApi.create_async_generator("echo", HI, media=[film, film]))
    assert text.count(hashlib.sha256(data).hexdigest()) == 2
    assert text.count(f"video/mp4, {len(data):,} bytes") == 2


@pytest.mark.parametrize(
    ("model", "kind"), [("echo-reasoning", Reasoning), ("echo-tools", ToolCalls), ("echo-media", Content)]
)
async def test_the_variants_of_echo(model: str, kind: type) -> None:
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    chunks = [chunk async for chunk in BackendApi.create_async_generator(model, HI, tools=tools)]
    assert any(type(chunk) is kind for chunk in chunks)
    reply = fold(chunks)
    if model == "echo-tools":
        assert reply.tool_calls[0].name == "look_up"
        assert reply.finish_reason == "tool_calls"
    if model == "echo-media":
        assert reply.media_urls[0].startswith("data:image/png;base64,")
    if model == "echo-reasoning":
        assert reply.reasoning.startswith("I look at")
        assert "I look at" not in reply.text


@pytest.mark.parametrize(
    ("model", "error", "received"),
    [
        ("echo-fail-start", UnavailableError, ""),
        ("echo-fail-middle", UnavailableError, "I am **Echo**, the backend "),
        ("echo-fail-rate", RateLimitError, ""),
        ("echo-empty", IncompleteStream, ""),
    ],
)
async def test_echo_fails_at_each_stage(model: str, error: type[Exception], received: str) -> None:
    seen = ""
    with pytest.raises(error) as caught:
        async for chunk in BackendApi.create_async_generator(model, HI):
            seen += str(chunk)
    assert seen == received
    if error is RateLimitError:
        assert caught.value.retry_after_seconds == 1.0  # type: ignore[attr-defined]


def test_it_starts_and_stops_with_each_event_loop() -> None:
    """Run where every warning is an error: nothing is left open, and nothing is said."""
    code = """
import asyncio, sys
from backstream import BackendApi
HI = [{"role": "user", "content": "Hi"}]
async def ask(**more):
    return "".join([str(c) async for c in BackendApi.create_async_generator("echo", HI, **more)])
async def leave():
    async for chunk in BackendApi.create_async_generator("echo", HI, pace_seconds=1):
        break
async def drop():
    left = BackendApi.create_async_generator("echo", HI, pace_seconds=1)
    await anext(left)
    globals()["left"] = left
async def cancelled():
    task = asyncio.ensure_future(ask(pace_seconds=1))
    await asyncio.sleep(0.02)
    # the loop's end cancels it
for _ in range(2):
    assert "Echo" in asyncio.run(ask())
asyncio.run(leave())
asyncio.run(drop())
asyncio.run(cancelled())
with asyncio.Runner() as runner:
    assert "Echo" in runner.run(ask())
    assert "Echo" in runner.run(ask())
if sys.platform != "win32":
    import uvloop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert "Echo" in runner.run(ask())
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if not line.startswith("Executing <")] == []


def test_without_async_also_inside_a_running_loop() -> None:
    async def within() -> str:
        return "".join(map(str, sync_iter(BackendApi.create_async_generator("echo", HI))))

    assert "“Grüße 😀”" in asyncio.run(within())


async def test_a_misspelt_model_is_told_and_misspelt_parameters_are_shown() -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean echo"):
        await text_of(BackendApi.create_async_generator("ecko", HI))
    text = await text_of(BackendApi.create_async_generator("echo", HI, temprature=0.7, top_p=1))
    assert "2 further parameters arrived: `temprature`, `top_p`" in text


# --- where it points --------------------------------------------------------------------------------------------------


class Journal(AsyncGeneratorProvider, ProviderModelMixin):
    """A provider that keeps what it was given."""

    default_model = "journal"
    seen: list[dict[str, Any]] = []

    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        cls.seen.append({"model": model, "messages": messages, **kwargs})
        yield "noted"
        yield Finish(finish={"reason": "stop"})


async def test_the_environment_names_a_server_for_backend_api_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.seen.clear()
    async with running([Journal]) as server:
        monkeypatch.setenv("BACKSTREAM_URL", server.url + "/")
        assert await text_of(BackendApi.create_async_generator("", HI)) == "noted"

        class NoUrl(BackendApi):
            pass

        with pytest.raises(ConfigurationError, match="NoUrl has no url"):
            NoUrl.create_async_generator("", HI)


async def test_what_a_registered_provider_receives() -> None:
    Journal.seen.clear()
    async with running([Journal]) as server:

        class Home(BackendApi):
            url = server.url

        answer = Home.create_async_generator(
            "m", HI, media=[(PNG, "a.png")], api_key="sk-1", temperature=0.7, proxy="http://127.0.0.1:1", timeout=5
        )
        assert await text_of(answer) == "noted"
    (seen,) = Journal.seen
    assert (seen["model"], seen["messages"], seen["api_key"], seen["temperature"]) == ("m", HI, "sk-1", 0.7)
    ((item, name),) = seen["media"]
    assert (item.media_type, item.size, name) == ("image/png", len(PNG), "a.png")
    assert not {"proxy", "timeout"} & set(seen)


async def test_a_server_can_relay_to_another() -> None:
    Journal.seen.clear()
    async with running([Journal]) as far:

        class Far(BackendApi):
            url = far.url

        async with running([Far]) as near:

            class Near(BackendApi):
                url = near.url

            answer = Near.create_async_generator("m", HI, media=[(PNG, "a.png")], api_key="sk-1")
            assert await text_of(answer) == "noted"
            assert answer.end is not None
            assert answer.end.state == "complete"
    assert Journal.seen[0]["api_key"] == "sk-1"
    assert Journal.seen[0]["media"][0][0].size == len(PNG)


async def test_calls_share_a_connection() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 36\r\n\r\n"
    whole += b'{"type":"content","content":"fine"}\n'
    async with ScriptedUpstream([ReadRequest(), Send(whole)] * 5) as upstream:

        class Home(BackendApi):
            url = upstream.url

        for _ in range(5):
            assert await text_of(Home.create_async_generator("m", HI)) == "fine"
        assert (len(upstream.requests), upstream.connections) == (5, 1)


@pytest.mark.parametrize(
    "url",
    [
        "None",
        "",
        "127.0.0.1:8080",
        "ftp://h",
        "http://",
        "http://a b",
        "http://u:p@h",
        "http://h:99999",
        "http://h?x=1",
    ],
)
def test_nonsense_as_url_is_a_clear_error(url: str) -> None:
    class Home(BackendApi):
        pass

    Home.url = url
    with pytest.raises(ConfigurationError, match=r"http|query"):
        Home.create_async_generator("m", HI)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"messages": "Hi"}, InvalidRequestError, "messages is a str"),
        ({"messages": [{"content": "Hi"}]}, InvalidRequestError, "has no role"),
        ({"api_key": ""}, ConfigurationError, "the API key is empty"),
        ({"api_key": 7}, UnsupportedFeatureError, "api_key is a int"),
        ({"options": 7}, ConfigurationError, "options is a int"),
        ({"deadlines": 7}, ConfigurationError, "deadlines"),
        ({"on_progress": 7}, ConfigurationError, "on_progress cannot be called"),
        ({"model": {"name": "m"}}, InvalidRequestError, "model is a dict"),
    ],
)
def test_a_callers_mistake_is_told_before_anything_is_sent(call: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        BackendApi.create_async_generator(**{"model": "m", "messages": HI, **call})


async def test_a_string_path_is_never_opened_or_sent(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    with pytest.raises(InvalidMediaError, match="Path"):
        await text_of(BackendApi.create_async_generator("echo", HI, media=[str(path)]))


async def test_the_log_tells_two_keys_apart_and_shows_neither(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="backstream.providers.backend_api")
    for key in ("sk-one", "sk-two", None, {"P": "sk-one"}):
        await text_of(BackendApi.create_async_generator("echo", HI, api_key=key))
    lines = [record.getMessage() for record in caplog.records]
    assert len(set(lines)) == 4
    assert not any("sk-" in line for line in lines)
    assert "no key" in lines[2]


async def test_lists_are_fetched() -> None:
    models = await BackendApi.fetch_models()
    assert "echo" in models["Echo"]
    assert [model["id"] for model in await BackendApi.fetch_models("Echo")][:1] == ["echo"]
    assert [provider["name"] for provider in await BackendApi.fetch_providers()] == ["Echo"]


async def test_an_answer_may_be_read_in_another_thread_s_loop() -> None:
    """An answer belongs to no loop until it is first iterated over."""
    answer = BackendApi.create_async_generator("echo", HI)
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(asyncio.run(text_of(answer))))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "“Grüße 😀”" in texts[0]
