"""Services over real sockets: what goes out, what comes back, and that errors, deadlines and keys are those of talk."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from backstream.credentials import Secret
from backstream.errors import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    DisconnectedError,
    IncompleteStream,
    InvalidMediaError,
    InvalidRequestError,
    MissingKeyError,
    MisuseError,
    RateLimitError,
    RefusedError,
    TooLargeError,
    TotalTimeout,
    UnsupportedFeatureError,
)
from backstream.media import MediaItem
from backstream.options import CallOptions, Deadlines
from backstream.providers import services as services_module
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.table import ROWS, row
from backstream.testing.upstream import (
    Close,
    ExpectEOF,
    ReadHead,
    ReadRequest,
    Reset,
    ScriptedUpstream,
    Send,
    Stall,
    Step,
    Wait,
)
from backstream.wire.multipart import MultipartDecoder, PartBegin, PartData, PartEnd, parse_boundary
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, no_leaks, ok

__all__ = ["no_leaks"]

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-a-key-of-the-tests"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
JSON = "Content-Type: application/json"


def answer(body: object, *fields: str) -> bytes:
    return ok(json.dumps(body).encode(), JSON, *fields)


def provider(upstream: ScriptedUpstream, name: str = "openai", key: str | Secret | None = KEY) -> DialectProvider:
    """A provider of the table, moved to the upstream."""
    moved = msgspec.structs.replace(row(name), url=upstream.url + "/v1", key_needed=False)
    return DialectProvider(moved, key)


Script = Sequence[Step]


def answering(data: bytes) -> Script:
    """Give the same answer to every request of a connection."""
    return [ReadRequest(), Send(data)] * 3


@pytest_asyncio.fixture
async def vectors() -> AsyncIterator[ScriptedUpstream]:
    """A back-end that makes one vector for each request."""
    async with ScriptedUpstream(answering(answer({"data": [{"embedding": [1.0, 2.0]}], "model": "m-1"}))) as upstream:
        yield upstream


# --- embeddings -------------------------------------------------------------------------------------------------------


async def test_embeddings(vectors: ScriptedUpstream) -> None:
    found = await provider(vectors).embed("m", "Hi", dimensions=2, extra_headers={"X-Own": "1"}, extra_query={"q": "2"})
    assert (found.vectors, found.model) == (((1.0, 2.0),), "m-1")
    (request,) = vectors.requests
    assert (request.method, request.target) == ("POST", "/v1/embeddings?q=2")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == request.headers["accept"] == "application/json"
    assert request.headers["x-own"] == "1"
    assert json.loads(request.body) == {"model": "m", "input": "Hi", "encoding_format": "base64", "dimensions": 2}


async def test_unknown_parameters_go_into_the_body(vectors: ScriptedUpstream) -> None:
    await provider(vectors).embed("m", [1, 2], new_one={"a": 1}, extra_body={"timeout": 3}, timeout=30)
    sent = json.loads(vectors.requests[0].body)
    assert (sent["input"], sent["new_one"], sent["timeout"]) == ([1, 2], {"a": 1}, 3)


async def test_gemini_embeds_in_its_own_form() -> None:
    body = answer({"embeddings": [{"values": [1]}, {"values": [2]}]})
    async with ScriptedUpstream(answering(body)) as upstream:
        found = await provider(upstream, "gemini").embed("e", ["a", "b"])
    assert found.vectors == ((1.0,), (2.0,))
    assert upstream.requests[0].target == "/v1/models/e:batchEmbedContents"
    assert upstream.requests[0].headers["x-goog-api-key"] == KEY


async def test_ollama_embeds_without_a_key() -> None:
    async with ScriptedUpstream(answering(answer({"embeddings": [[1, 2]]}))) as upstream:
        found = await provider(upstream, "ollama", None).embed("m", "a")
    assert found.vectors == ((1.0, 2.0),)
    assert upstream.requests[0].target == "/v1/api/embed"
    assert "authorization" not in upstream.requests[0].headers


async def test_a_vector_that_is_missing_is_an_error(vectors: ScriptedUpstream) -> None:
    with pytest.raises(DecodeError, match="1 vectors for 2 texts"):
        await provider(vectors).embed("m", ["a", "b"])
    with pytest.raises(DecodeError, match="1 vectors for 3 texts"):
        await provider(vectors).embed("m", [[1], [2], [3]])


@pytest.mark.parametrize("texts", [[], (), None, b"Hi", {"a": 1}, 3])
async def test_what_is_no_text_is_not_sent(vectors: ScriptedUpstream, texts: Any) -> None:
    with pytest.raises(InvalidRequestError, match="input"):
        await provider(vectors).embed("m", texts)
    assert vectors.connections == 0


async def test_a_key_of_the_call_wins(vectors: ScriptedUpstream) -> None:
    await provider(vectors).embed("m", "Hi", api_key="sk-other")
    assert vectors.requests[0].headers["authorization"] == "Bearer sk-other"


async def test_a_key_of_another_origin_is_not_sent(vectors: ScriptedUpstream) -> None:
    with pytest.raises(ConfigurationError, match="bound to"):
        await provider(vectors).embed("m", "Hi", api_key=Secret("k", origin="https://example.org:443"))
    assert vectors.connections == 0


async def test_a_missing_key_is_named_before_anything_is_sent(vectors: ScriptedUpstream) -> None:
    moved = msgspec.structs.replace(row("openai"), url=vectors.url)
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        await DialectProvider(moved).embed("m", "Hi")
    assert vectors.connections == 0


async def test_requests_are_signed(vectors: ScriptedUpstream) -> None:
    signed: list[tuple[str, str]] = []

    async def sign(method: str, url: str, headers: Any, body: Any) -> dict[str, str | Secret]:
        signed.append((method, url))
        return {"X-Signature": "s"}

    moved = msgspec.structs.replace(row("openai"), url=vectors.url)
    await DialectProvider(moved, KEY, sign=sign).embed("m", "Hi")
    assert signed == [("POST", f"{vectors.url}/embeddings")]
    assert vectors.requests[0].headers["x-signature"] == "s"


# --- errors and deadlines ---------------------------------------------------------------------------------------------

CALLS = {
    "embed": lambda backend, **kw: backend.embed("m", "Hi", **kw),
    "images": lambda backend, **kw: backend.images("m", "a cat", **kw),
    "speech": lambda backend, **kw: backend.speech("m", "Hi", **kw),
    "transcribe": lambda backend, **kw: backend.transcribe("m", WAV, **kw),
}
EVERY = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@EVERY
@pytest.mark.parametrize(
    ("status", "cls"), [("401 No", AuthenticationError), ("429 Slow", RateLimitError), ("400 Bad", RefusedError)]
)
async def test_refusals_are_those_of_conversations(call: Any, status: str, cls: type[RefusedError]) -> None:
    body = json.dumps({"error": {"message": f"no, {KEY}", "code": "why"}}).encode()
    async with ScriptedUpstream(answering(ok(body, JSON, "Retry-After: 7", status=status))) as upstream:
        with pytest.raises(cls) as caught:
            await call(provider(upstream))
        assert caught.value.status == int(status[:3])
        assert caught.value.retry_after_seconds == 7
        assert KEY not in str(caught.value)


@EVERY
async def test_deadlines_are_those_of_conversations(call: Any) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(head(JSON, "Content-Length: 9")), ExpectEOF()]) as upstream:
        with pytest.raises(TotalTimeout):
            await call(provider(upstream), deadlines=Deadlines(total=0.05))
        await upstream.closed()


@EVERY
async def test_an_answer_that_is_cut_off_is_an_error(call: Any) -> None:
    script = [ReadRequest(), Send(head("Content-Type: audio/mpeg", "Content-Length: 99") + b"part"), Close()]
    async with ScriptedUpstream(script) as upstream:
        with pytest.raises((IncompleteStream, DisconnectedError)):
            await call(provider(upstream))


@EVERY
async def test_a_connection_that_breaks_is_an_error(call: Any) -> None:
    async with ScriptedUpstream([ReadRequest(), Reset()]) as upstream:
        with pytest.raises(DisconnectedError):
            await call(provider(upstream))


@EVERY
async def test_other_answers_are_refused(call: Any) -> None:
    async with ScriptedUpstream(answering(ok(b"<html>Hello</html>", "Content-Type: text/html"))) as upstream:
        with pytest.raises(DecodeError):
            await call(provider(upstream))


@EVERY
async def test_an_answer_over_the_cap_is_refused(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_module, "_MOST_BYTES", 1000)
    begun = head("Content-Type: audio/mpeg", "Content-Length: 5000") + bytes(2000)
    async with ScriptedUpstream([ReadRequest(), Send(begun), ExpectEOF()]) as upstream:
        with pytest.raises(TooLargeError, match="1000 bytes"):
            await call(provider(upstream))
        await upstream.closed()


@EVERY
async def test_a_row_without_the_route_says_what_to_do(call: Any) -> None:
    backend = DialectProvider(row("deepseek"), KEY)  # would be asked over the network if it were asked
    with pytest.raises(UnsupportedFeatureError, match=r"deepseek offers no \w+") as caught:
        await call(backend)
    named = re.findall(r"such as ([a-z, -]+)", caught.value.remedy)[0].split(", ")
    assert set(named) <= set(ROWS)
    assert 1 <= len(named) <= 5


@EVERY
async def test_a_model_must_be_named(call: Any, vectors: ScriptedUpstream) -> None:
    backend = provider(vectors)
    with pytest.raises(InvalidRequestError, match="no model is named"):
        await {
            "embed": lambda: backend.embed("", "Hi"),
            "images": lambda: backend.images("", "a cat"),
            "speech": lambda: backend.speech("", "Hi"),
            "transcribe": lambda: backend.transcribe("", WAV),
        }[next(name for name, each in CALLS.items() if each is call)]()
    assert vectors.connections == 0


@EVERY
async def test_answers_in_events_are_not_asked_for(call: Any, vectors: ScriptedUpstream) -> None:
    for parameters in ({"stream": True}, {"stream_format": "sse"}, {"extra_body": {"stream": True}}):
        with pytest.raises(UnsupportedFeatureError, match="events"):
            await call(provider(vectors), **parameters)
    assert vectors.connections == 0


@EVERY
async def test_bad_options_are_refused_before_anything_is_sent(call: Any, vectors: ScriptedUpstream) -> None:
    with pytest.raises(ConfigurationError, match="options"):
        await call(provider(vectors), options=3)
    assert vectors.connections == 0


def test_a_route_without_a_form_for_it_is_not_offered() -> None:
    moved = msgspec.structs.replace(row("anthropic"), speech_path="/speech")
    with pytest.raises(UnsupportedFeatureError, match="anthropic offers no speech"):
        DialectProvider(moved, KEY).speech_stream("m", "Hi")


def test_what_talk_can_do_instead_is_said() -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        asyncio.run(DialectProvider(row("gemini"), KEY).transcribe("m", WAV))
    assert "in a conversation" in caught.value.remedy


# --- pictures ---------------------------------------------------------------------------------------------------------

PICTURE = answer({"data": [{"b64_json": base64.b64encode(PNG).decode()}]})


def read_form(content_type: str, body: bytes) -> list[tuple[str, str | None, str | None, bytes]]:
    """The parts of a form, by our server's parser: name, file name, type, content."""
    decoder = MultipartDecoder(parse_boundary(content_type))
    parts: list[tuple[str, str | None, str | None, bytes]] = []
    for event in decoder.feed(body):
        match event:
            case PartBegin(name, filename, kind):
                parts.append((name, filename, kind, b""))
            case PartData(data):
                parts[-1] = (*parts[-1][:3], parts[-1][3] + data)
            case PartEnd():
                pass
    decoder.finish()
    return parts


async def test_pictures_are_made() -> None:
    async with ScriptedUpstream(answering(PICTURE)) as upstream:
        found = await provider(upstream).images("m", "a cat", size="auto")
    assert [(part.kind, part.media_type) for part in found.images] == [("image", "image/png")]
    assert upstream.requests[0].target == "/v1/images/generations"
    assert json.loads(upstream.requests[0].body) == {"model": "m", "prompt": "a cat", "size": "auto"}


async def test_pictures_are_changed(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    async with ScriptedUpstream(answering(PICTURE)) as upstream:
        await provider(upstream).images("m", "a hat", media=[path, (PNG, "dog.png")], mask=PNG, n=1)
    (request,) = upstream.requests
    assert request.target == "/v1/images/edits"
    assert read_form(request.headers["content-type"], request.body) == [
        ("model", None, None, b"m"),
        ("prompt", None, None, b"a hat"),
        ("n", None, None, b"1"),
        ("image[]", "cat.png", "image/png", PNG),
        ("image[]", "dog.png", "image/png", PNG),
        ("mask", "image-2.png", "image/png", PNG),
    ]


async def test_gemini_makes_pictures_by_an_answer() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    async with ScriptedUpstream(answering(answer({"candidates": [{"content": {"parts": [part]}}]}))) as upstream:
        found = await provider(upstream, "gemini").images("gemini-2.5-flash-image", "a hat", media=[PNG])
    assert found.images[0].media_type == "image/png"
    assert upstream.requests[0].target == "/v1/models/gemini-2.5-flash-image:generateContent"
    assert base64.b64encode(PNG) in upstream.requests[0].body


async def test_media_that_cannot_be_read_are_refused_before_anything_is_sent(vectors: ScriptedUpstream) -> None:
    with pytest.raises(InvalidMediaError, match="there is no file"):
        await provider(vectors).images("m", "p", media=[Path("/nowhere/at/all.png")])
    assert vectors.connections == 0


# --- speech -----------------------------------------------------------------------------------------------------------


async def test_speech() -> None:
    async with ScriptedUpstream(answering(ok(WAV, "Content-Type: audio/wav"))) as upstream:
        speech = await provider(upstream).speech("tts-1", "Hello", "alloy", speed=1.5)
    assert (speech.data, speech.media_type) == (WAV, "audio/wav")
    (request,) = upstream.requests
    assert request.target == "/v1/audio/speech"
    assert request.headers["accept"] == "*/*"
    assert json.loads(request.body) == {"model": "tts-1", "input": "Hello", "voice": "alloy", "speed": 1.5}


async def test_speech_comes_as_it_is_made() -> None:
    more = asyncio.Event()
    script = [
        ReadRequest(),
        Send(CHUNKED.replace(b"text/event-stream", b"audio/mpeg") + chunk(b"first")),
        Wait(more),
        Send(chunk(b"second") + LAST_CHUNK),
    ]
    async with ScriptedUpstream(script) as upstream:
        stream = provider(upstream).speech_stream("tts-1", "Hello")
        assert repr(stream) == "<SpeechStream not open>"
        assert upstream.connections == 0
        async with stream as speech:
            assert speech.media_type == "audio/mpeg"
            assert repr(speech) == "<SpeechStream audio/mpeg>"
            blocks = [await anext(speech)]
            more.set()
            blocks += [block async for block in speech]
    assert blocks == [b"first", b"second"]


async def test_leaving_speech_early_closes_the_connection() -> None:
    script = [ReadRequest(), Send(CHUNKED.replace(b"text/event-stream", b"audio/mpeg") + chunk(b"first")), ExpectEOF()]
    async with ScriptedUpstream(script) as upstream:
        async with provider(upstream).speech_stream("tts-1", "Hello") as speech:
            assert await anext(speech) == b"first"
        await upstream.closed()


async def test_speech_that_is_cut_off_is_not_over() -> None:
    script = [ReadRequest(), Send(CHUNKED.replace(b"text/event-stream", b"audio/mpeg") + chunk(b"first")), Close()]
    async with ScriptedUpstream(script) as upstream, provider(upstream).speech_stream("tts-1", "Hello") as speech:
        assert await anext(speech) == b"first"
        with pytest.raises((IncompleteStream, DisconnectedError)):
            await anext(speech)


async def test_a_stream_is_opened_once_and_then_read() -> None:
    async with ScriptedUpstream(answering(ok(WAV, "Content-Type: audio/wav"))) as upstream:
        stream = provider(upstream).speech_stream("tts-1", "Hello")
        with pytest.raises(MisuseError, match="async with"):
            await anext(stream)
        async with stream:
            with pytest.raises(MisuseError, match="before"):
                await stream.__aenter__()


async def test_leaving_a_stream_that_was_never_opened_is_nothing(vectors: ScriptedUpstream) -> None:
    await provider(vectors).speech_stream("tts-1", "Hello").__aexit__(None, None, None)
    assert vectors.connections == 0


async def test_an_empty_sound_is_an_error() -> None:
    async with ScriptedUpstream(answering(ok(b"", "Content-Type: audio/wav"))) as upstream:
        with pytest.raises(DecodeError, match="no sound"):
            await provider(upstream).speech("tts-1", "Hello")


async def test_a_sound_inside_json_is_one_block() -> None:
    body = answer({"audio_data": base64.b64encode(WAV).decode()})
    async with (
        ScriptedUpstream(answering(body)) as upstream,
        provider(upstream, "mistral").speech_stream("voxtral", "Hello", voice_id="v") as speech,
    ):
        assert speech.media_type == "audio/wav"
        assert [block async for block in speech] == [WAV]
    assert json.loads(upstream.requests[0].body)["voice_id"] == "v"


async def test_gemini_speaks() -> None:
    part = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": base64.b64encode(bytes(64)).decode()}}
    usage = {"promptTokenCount": 3}
    body = answer({"candidates": [{"content": {"parts": [part]}}], "modelVersion": "tts-1", "usageMetadata": usage})
    async with ScriptedUpstream(answering(body)) as upstream:
        speech = await provider(upstream, "gemini").speech("tts", "Hello", "Kore")
    assert (speech.media_type, speech.data[:4], len(speech.data)) == ("audio/wav", b"RIFF", 64 + 44)
    assert speech.model == "tts-1"
    assert speech.usage is not None
    assert speech.usage.input_tokens == 3


# --- transcripts ------------------------------------------------------------------------------------------------------


async def test_a_file_is_transcribed(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(WAV)
    sent: list[tuple[int, int | None]] = []
    async with ScriptedUpstream(answering(answer({"text": "Hello", "language": "english"}))) as upstream:
        found = await provider(upstream).transcribe(
            "whisper-1",
            path,
            language="en",
            timestamp_granularities=["word"],
            on_progress=lambda done, total: sent.append((done, total)),
        )
    assert (found.text, found.language) == ("Hello", "english")
    (request,) = upstream.requests
    assert request.target == "/v1/audio/transcriptions"
    assert request.headers["content-length"] == str(len(request.body))
    assert sent[-1] == (len(request.body), len(request.body))
    assert read_form(request.headers["content-type"], request.body) == [
        ("model", None, None, b"whisper-1"),
        ("language", None, None, b"en"),
        ("timestamp_granularities[]", None, None, b"word"),
        ("file", "talk.wav", "audio/wav", WAV),
    ]


async def test_a_sound_with_a_name_of_its_own() -> None:
    async with ScriptedUpstream(answering(ok(b"Hello\n", "Content-Type: text/plain"))) as upstream:
        found = await provider(upstream).transcribe("m", (WAV, 'a "b".wav'), response_format="text")
    assert found.text == "Hello\n"
    assert b'filename="a %22b%22.wav"' in upstream.requests[0].body


async def test_a_sound_elsewhere_is_named_by_a_parameter() -> None:
    async with ScriptedUpstream(answering(answer({"text": "Hello"}))) as upstream:
        await provider(upstream, "groq").transcribe("m", None, url="https://example.org/a.wav")
    form = read_form(upstream.requests[0].headers["content-type"], upstream.requests[0].body)
    assert form[1:] == [("url", None, None, b"https://example.org/a.wav")]


async def test_boundaries_are_never_the_same() -> None:
    async with ScriptedUpstream(answering(answer({"text": "Hello"}))) as upstream:
        for _ in range(2):
            await provider(upstream).transcribe("m", WAV)
    assert len({request.headers["content-type"] for request in upstream.requests}) == 2


async def test_a_sound_of_unknown_size_goes_out_in_chunks() -> None:
    item = MediaItem("audio/wav", "a.wav", size=None, blocks=lambda: iter((WAV, WAV)), replayable=False)
    async with ScriptedUpstream(answering(answer({"text": "Hello"}))) as upstream:
        await provider(upstream).transcribe("m", item)
    (request,) = upstream.requests
    assert request.headers["transfer-encoding"] == "chunked"
    assert read_form(request.headers["content-type"], request.body)[-1][3] == WAV + WAV


async def test_a_file_is_read_while_it_is_sent() -> None:
    """The back-end refuses after the head: most of the file is then never read."""
    read: list[int] = []

    def source() -> Iterator[bytes]:
        for number in range(4096):
            read.append(number)
            yield bytes(48 * 1024)

    item = MediaItem("audio/wav", size=4096 * 48 * 1024, blocks=source)
    refusal = ok(b'{"error":{"message":"too large"}}', JSON, "Connection: close", status="413 Too Large")
    async with ScriptedUpstream([ReadHead(), Send(refusal), Stall()]) as upstream:
        with pytest.raises(RefusedError):
            await provider(upstream).transcribe("m", item)
    assert len(read) < 2048


async def test_options_of_a_call_as_one_value(vectors: ScriptedUpstream) -> None:
    await provider(vectors).embed("m", "Hi", options=CallOptions(extra_headers={"X-Own": "1"}))
    assert vectors.requests[0].headers["x-own"] == "1"
