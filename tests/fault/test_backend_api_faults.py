"""``BackendApi`` against a server that misbehaves: every fault has its typed error, and nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream import (
    AuthenticationError,
    BackendApi,
    BetweenContentTimeout,
    CallOptions,
    ConnectError,
    Content,
    ContentTypeError,
    Deadlines,
    DecodeError,
    DisconnectedError,
    FirstContentTimeout,
    FramingError,
    HeadersTimeout,
    IdleTimeout,
    IncompleteStream,
    InvalidMediaError,
    RateLimitError,
    RawResponse,
    RedirectError,
    RefusedError,
    TooLargeError,
    TotalTimeout,
    UnavailableError,
)
from backstream.testing.upstream import (
    Close,
    ExpectEOF,
    HalfClose,
    ReadHead,
    ReadRequest,
    Reset,
    ScriptedUpstream,
    Send,
    SendSlowly,
    Step,
)
from backstream.transport.pool import aclose_pools
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, no_leaks, ok

__all__ = ["no_leaks"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_leaks")

ASKED: Any = ("m", [{"role": "user", "content": "Hi"}])
HELLO = 'event: content\ndata: {"type": "content", "content": "Grüße 😀 "}\n\n'.encode()
AGAIN = b'{"type": "content", "content": "again"}\n'
FINISH = b'data: {"type": "finish", "finish": {"reason": "stop"}}\n\n'
PLAIN = head("Content-Type: text/event-stream")


def provider(upstream: ScriptedUpstream) -> type[BackendApi]:
    class Scripted(BackendApi):
        url = upstream.url + "/"

    return Scripted


async def converse(script: Sequence[Step], **options: Any) -> tuple[list[RawResponse], Exception | None, str]:
    """Hold one conversation with a server that plays a script; return chunks, error and end state."""
    seen: list[RawResponse] = []
    error: Exception | None = None
    async with ScriptedUpstream([ReadRequest(), *script]) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED, **options)
        try:
            async for piece in answer:
                seen.append(piece)
        except Exception as raised:
            error = raised
        assert answer.end is not None
        state = answer.end.state
        await aclose_pools()  # an answer read to its end leaves its connection to the pool
        await upstream.closed()
    return seen, error, state


def text(chunks: Sequence[RawResponse]) -> str:
    return "".join(map(str, chunks))


# --- answers that are whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [Send(CHUNKED + chunk(HELLO) + chunk(AGAIN) + LAST_CHUNK)],
        [SendSlowly(CHUNKED + chunk(HELLO) + chunk(AGAIN) + LAST_CHUNK)],
        [Send(ok(HELLO + AGAIN, "Content-Type: text/event-stream"))],
        [SendSlowly(PLAIN + HELLO + AGAIN + FINISH), Close()],
        [Send(PLAIN + HELLO + AGAIN + b"data: [DONE]\n\n"), Close()],
        [Send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + CHUNKED + chunk(HELLO + AGAIN) + LAST_CHUNK)],
    ],
    ids=["chunked", "one byte at a time", "length", "closed after finish", "closed after done", "interim"],
)
async def test_a_whole_answer_is_whole_however_it_comes(script: list[Step]) -> None:
    chunks, error, state = await converse(script)
    assert error is None
    assert text(chunks) == "Grüße 😀 again"
    assert state == "complete"


# --- answers that are cut ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "received"),
    [
        ([Send(CHUNKED + chunk(HELLO)), Close()], "Grüße 😀 "),
        ([Send(CHUNKED + chunk(HELLO)), HalfClose()], "Grüße 😀 "),
        ([Send(CHUNKED + chunk(HELLO + HELLO[:30])), Close()], "Grüße 😀 "),
        ([Send(PLAIN + HELLO), Close()], "Grüße 😀 "),
        ([Send(PLAIN + HELLO + HELLO[:40]), Close()], "Grüße 😀 "),
        ([Send(ok(HELLO + AGAIN)[:-5]), Close()], "Grüße 😀 "),
        ([Send(ok(b"", "Content-Type: text/event-stream"))], ""),
        ([Send(head(status="204 No Content"))], ""),
    ],
    ids=["no last chunk", "half closed", "inside an event", "no word of an end", "cut event", "short", "empty", "204"],
)
async def test_a_cut_answer_is_never_taken_for_whole(script: list[Step], received: str) -> None:
    chunks, error, state = await converse(script)
    assert isinstance(error, IncompleteStream)
    assert text(chunks) == received == error.text
    assert list(error.received) == chunks
    assert state in ("incomplete", "failed")


async def test_a_reset_in_the_middle_keeps_what_came_before() -> None:
    seen: list[str] = []
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(HELLO)), ExpectEOF()]) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED)
        seen.append(str(await anext(answer)))
        await upstream.aclose()  # the server goes away under the stream
        with pytest.raises(IncompleteStream):
            await anext(answer)
    assert seen == ["Grüße 😀 "]


# --- faults before the first content ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        ([Reset()], DisconnectedError, "before a whole answer head"),
        ([Close()], DisconnectedError, "before a whole answer head"),
        ([Send(b"HTTP/1.1 200 OK\r\nContent-"), Close()], DisconnectedError, "before a whole answer head"),
        ([Send(b"SSH-2.0-OpenSSH_9.6\r\n")], FramingError, "malformed HTTP"),
        ([Send(CHUNKED + b"zz\r\nrubbish")], FramingError, "malformed HTTP"),
        (
            [Send(ok(b"<html><title>Sign in</title><p>Hotel &amp; Wifi", "Content-Type: text/html"))],
            ContentTypeError,
            "answer is text/html, not an event stream: Sign in",
        ),
        ([Send(ok(b"<p>down", "Content-Type: text/html", status="502 Bad Gateway"))], UnavailableError, "down"),
        ([Send(ok(b'{"error":{"message":"no such"}}', status="404 Not Found"))], RefusedError, "no such"),
        ([Send(ok(b'{"error":"who?"}', status="401 Unauthorized"))], AuthenticationError, "who?"),
        ([Send(ok(b'{"detail":"slow"}', "Retry-After: 7", status="429 Too Many"))], RateLimitError, "slow"),
        (
            [Send(head("Location: http://127.0.0.2:1/x", "Content-Length: 0", status="307 Temporary Redirect"))],
            RedirectError,
            "another origin",
        ),
        ([Send(head("Location: /other", "Content-Length: 0", status="303 See Other"))], RedirectError, "303"),
    ],
)
async def test_a_fault_before_the_stream(script: list[Step], error: type[Exception], says: str) -> None:
    chunks, raised, state = await converse(script)
    assert type(raised).__name__ == error.__name__ or isinstance(raised, error)
    assert says in str(raised)
    assert (chunks, state) == ([], "failed")
    if isinstance(raised, RateLimitError):
        assert raised.retry_after_seconds == 7


async def test_nothing_of_the_request_reaches_another_origin() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as elsewhere:
        redirect = head(f"Location: {elsewhere.url}/steal", "Content-Length: 0", status="307 Temporary Redirect")
        chunks, error, _ = await converse([Send(redirect)], api_key="sk-canary")
        assert isinstance(error, RedirectError)
        assert chunks == []
        assert elsewhere.connections == 0


async def test_a_redirect_within_the_origin_is_followed_with_its_body() -> None:
    moved = head("Location: /elsewhere", "Content-Length: 0", status="308 Permanent Redirect")
    whole = CHUNKED + chunk(HELLO) + LAST_CHUNK
    async with ScriptedUpstream([ReadRequest(), Send(moved), ReadRequest(), Send(whole)]) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED, media=[(b"\x89PNG\r\n\x1a\n", "a.png")])
        assert text([piece async for piece in answer]) == "Grüße 😀 "
        first, second = upstream.requests
        assert first.body == second.body
        assert (first.target, second.target) == ("/backend-api/v2/conversation", "/elsewhere")


async def test_nobody_listens() -> None:
    async with ScriptedUpstream() as upstream:
        gone = provider(upstream)
    with pytest.raises(ConnectError):
        await anext(gone.create_async_generator(*ASKED))


# --- the clocks -------------------------------------------------------------------------------------------------------

SHORT = 0.05


@pytest.mark.parametrize(
    ("script", "deadlines", "error", "received"),
    [
        ([], Deadlines(headers=SHORT), HeadersTimeout, ""),
        ([Send(b"HTTP/1.1 200 OK\r\n")], Deadlines(headers=SHORT), HeadersTimeout, ""),
        ([Send(CHUNKED)], Deadlines(first_content=SHORT), FirstContentTimeout, ""),
        ([Send(CHUNKED + chunk(b": ping\n\n"))], Deadlines(first_content=SHORT), FirstContentTimeout, ""),
        ([Send(CHUNKED + chunk(HELLO))], Deadlines(between_content=SHORT), BetweenContentTimeout, "Grüße 😀 "),
        ([Send(CHUNKED + chunk(HELLO))], Deadlines(idle=SHORT), IdleTimeout, "Grüße 😀 "),
        ([Send(CHUNKED + chunk(HELLO))], Deadlines(total=SHORT), TotalTimeout, "Grüße 😀 "),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_each_clock_raises_its_own_error(
    script: list[Step], deadlines: Deadlines, error: type[Exception], received: str
) -> None:
    chunks, raised, state = await converse(script, deadlines=deadlines)
    assert type(raised) is error
    assert text(chunks) == received
    assert state == ("incomplete" if received else "failed")


async def test_keepalives_do_not_feed_the_content_clocks() -> None:
    """A server that pings for ever and says nothing is left, however busy its socket is."""
    pings = [Send(chunk(b": ping\n\n"))]
    script: list[Step] = [ReadRequest(), Send(CHUNKED), *(pings * 3), SendSlowly(chunk(b": ping\n\n") * 2000)]
    async with ScriptedUpstream(script) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED, deadlines=Deadlines(first_content=SHORT, idle=30))
        with pytest.raises(FirstContentTimeout):
            await anext(answer)
        await upstream.closed()


async def test_a_plain_timeout_means_idle() -> None:
    _, error, _ = await converse([Send(CHUNKED + chunk(HELLO))], timeout=SHORT)
    assert isinstance(error, IdleTimeout)


# --- damage within the stream -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (b"data: {nonsense}\n\n", DecodeError, "event 1: the event is not JSON"),
        (b"data: [1]\n\n", DecodeError, "event 1: the event is a JSON list"),
        (b"data: " + b"[" * 100_000 + b"\n\n", DecodeError, "event 1"),
        (b'data: {"type":"error","error":"RateLimitError","message":"slow"}\n\n', RateLimitError, "slow"),
        (b'{"type":"auth","auth":"MissingAuthError","message":"Add a key"}\n', AuthenticationError, "Add a key"),
        (b'{"error":{"message":"proxy says no"}}\n', RefusedError, "proxy says no"),
        (b"data: " + b"x" * 5000, TooLargeError, "max_line_bytes"),
    ],
    ids=["not JSON", "no object", "deep", "error event", "auth event", "untyped error", "endless line"],
)
async def test_damage_after_content_keeps_the_content(damage: bytes, error: type[Exception], says: str) -> None:
    script: list[Step] = [Send(CHUNKED + chunk(HELLO) + chunk(damage) + chunk(HELLO))]
    options = CallOptions(max_line_bytes=4000) if error is TooLargeError else CallOptions()
    chunks, raised, state = await converse(script, options=options)
    assert isinstance(raised, error)
    assert says in str(raised)
    assert text(chunks) == "Grüße 😀 "
    assert state == ("failed" if issubclass(error, RefusedError) else "incomplete")


async def test_invalid_utf8_becomes_a_replacement_character() -> None:
    bad = b'data: {"type": "content", "content": "a\xffb"}\n\n'
    chunks, error, _ = await converse([Send(CHUNKED + chunk(bad) + LAST_CHUNK)])
    assert (error, text(chunks)) == (None, "a\ufffdb")


async def test_a_huge_event_within_the_cap_arrives() -> None:
    big = "x" * 3_000_000
    event = f'data: {{"type": "content", "content": "{big}"}}\n\n'.encode()
    chunks, error, _ = await converse([Send(CHUNKED + chunk(event) + LAST_CHUNK)])
    assert error is None
    assert chunks == [Content(content=big)]


# --- leaving ----------------------------------------------------------------------------------------------------------

ENDLESS: list[Step] = [ReadRequest(), Send(CHUNKED + chunk(HELLO)), ExpectEOF()]


async def test_break_closes_the_connection() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        async for _ in provider(upstream).create_async_generator(*ASKED):
            break
        await upstream.closed()


async def test_async_with_closes_where_a_name_holds_the_answer() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        async with await provider(upstream).create_async_generator(*ASKED) as answer:
            async for _ in answer:
                break
        await upstream.closed()
        assert answer.end is not None
        assert answer.end.state == "cancelled"


async def test_aclose_closes() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED)
        await anext(answer)
        await answer.aclose()
        await upstream.closed()


async def test_cancelling_closes_while_waiting_for_content() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED)
        await anext(answer)
        task = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.closed()


async def test_cancelling_closes_before_the_headers() -> None:
    async with ScriptedUpstream([ReadRequest(), ExpectEOF()]) as upstream:
        task = asyncio.ensure_future(anext(provider(upstream).create_async_generator(*ASKED)))
        while not upstream.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.closed()


async def test_collection_closes_as_a_last_resort() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED)
        await anext(answer)
        del answer
        gc.collect()
        await upstream.closed()


async def test_an_exception_in_the_loop_body_closes() -> None:
    async with ScriptedUpstream(ENDLESS) as upstream:
        with pytest.raises(KeyError):
            async for _ in provider(upstream).create_async_generator(*ASKED):
                raise KeyError("mine")
        gc.collect()  # the traceback of the error held the iterator
        await upstream.closed()


async def test_a_slow_reader_slows_the_server() -> None:
    """The server cannot get far ahead of a reader that does not read: buffers are bounded."""
    event = chunk(HELLO * 500)
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        try:
            while sent < 200_000_000:
                writer.write(event)
                sent += len(event)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:

        class Fast(BackendApi):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async with Fast.create_async_generator(*ASKED) as answer:
            await anext(answer)
            previous = -1
            while previous != sent:
                previous = sent
                await asyncio.sleep(0.05)
        assert sent < 20_000_000


# --- uploads ----------------------------------------------------------------------------------------------------------


async def test_a_server_that_refuses_a_large_upload_early_is_heard(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"x" * 20_000_000)
    refusal = ok(b'{"error":{"message":"too large"}}', "Connection: close", status="413 Payload Too Large")
    async with ScriptedUpstream([ReadHead(), Send(refusal), ExpectEOF()]) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED, media=[video])
        with pytest.raises(RefusedError, match="too large") as caught:
            await anext(answer)
        assert caught.value.status == 413
        await upstream.closed()


async def test_a_file_that_changes_while_it_is_sent_is_an_error_and_no_request(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"x" * 5_000_000)

    def truncate(sent: int, total: int | None) -> None:
        if sent > 1_000_000:
            with video.open("r+b") as file:
                file.truncate(2_000_000)

    async with ScriptedUpstream([ReadRequest()]) as upstream:
        answer = provider(upstream).create_async_generator(*ASKED, media=[video], on_progress=truncate)
        with pytest.raises(InvalidMediaError):
            await anext(answer)
        await upstream.closed()
        assert upstream.requests == []


async def test_progress_reaches_the_whole(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"x" * 300_000)
    steps: list[tuple[int, int | None]] = []
    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(HELLO) + LAST_CHUNK)]) as upstream:
        answer = provider(upstream).create_async_generator(
            *ASKED, media=[video], on_progress=lambda *step: steps.append(step)
        )
        async for _ in answer:
            pass
        body = upstream.requests[0].body
    assert steps[-1] == (len(body), len(body))
    assert [sent for sent, _ in steps] == sorted({sent for sent, _ in steps})
    assert len(steps) > 3


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_what_goes_out(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    media = [picture, (b"RIFF\0\0\0\0WAVEfmt ", "a.wav"), [b"%PDF-1.7", None], "https://h/x.png"]
    before = list(media)

    class Other(BackendApi):
        url = "http://unused"

    async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(HELLO) + LAST_CHUNK)]) as upstream:

        class Home(BackendApi):
            url = upstream.url + "/base/"
            headers = {"X-Lab": "1"}
            default_model = "small"
            model_aliases = {"s": "small-2026"}

        answer = Home.create_async_generator(
            "s",
            *ASKED[1:],
            media=media,
            api_key={"Other": "sk-1"},
            provider=Other,
            temperature=0.7,
            conversation=None,
            proxy="http://user:password@127.0.0.1:1",
            timeout=20,
            stream_timeout=30,
            options=CallOptions(extra_body={"timeout": 5}, extra_query={"v": "2"}, extra_headers={"X-More": "2"}),
        )
        assert text([piece async for piece in answer]) == "Grüße 😀 "
        request = upstream.requests[0]
    assert media == before
    assert json.loads(request.body) == {
        "model": "small-2026",
        "messages": ASKED[1],
        "media": [
            ["data:image/png;base64,iVBORw0KGgo=", "cat.png"],
            ["data:audio/wav;base64,UklGRgAAAABXQVZFZm10IA==", "a.wav"],
            ["data:application/pdf;base64,JVBERi0xLjc=", None],
            ["https://h/x.png", None],
        ],
        "api_key": {"Other": "sk-1"},
        "provider": "Other",
        "temperature": 0.7,
        "conversation": None,
        "timeout": 5,
    }
    assert request.target == "/base/backend-api/v2/conversation?v=2"
    assert b"password" not in request.head + request.body
    sent = {name: request.headers[name] for name in ("X-Lab", "X-More", "Accept", "Content-Type", "Accept-Encoding")}
    assert sent == {
        "X-Lab": "1",
        "X-More": "2",
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }
