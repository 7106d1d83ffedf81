"""OpenAI's services: vectors, pictures, speech and transcripts, from providers that give them, or do not."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import msgspec
import pytest

from backstream import DialectProvider, RateLimitError, Usage
from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin
from backstream.providers.table import row
from backstream.request.parts import MediaPart
from backstream.server.keys import add_key
from backstream.services import Embeddings, Images, Passage, Speech, Transcript
from support_server import Answer, Journal, Running, close, head_and_body, running

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
USED = Usage(usage={"prompt_tokens": 3, "total_tokens": 3})


class Studio(AsyncGeneratorProvider, ProviderModelMixin):
    """A provider of every service, which notes what it was asked."""

    default_model = "one"
    models: ClassVar = ("one",)
    asked: ClassVar[list[Any]] = []

    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **keywords: Any) -> AsyncIterator[str]:
        yield "Hi"

    @classmethod
    async def embed(cls, model: str, input: Any, **keywords: Any) -> Embeddings:  # noqa: A002
        cls.asked.append((model, input, keywords))
        if input == "slow":
            raise RateLimitError("too much", status=429, retry_after_seconds=7)
        count = 1 if isinstance(input, str) else len(input)
        return Embeddings(vectors=tuple((0.5, float(index)) for index in range(count)), usage=USED)

    @classmethod
    async def images(cls, model: str, prompt: str, media: Any = None, mask: Any = None, **keywords: Any) -> Images:
        sent = [(item.media_type, b"".join(item.blocks())) for item in media or ()]
        cls.asked.append((model, prompt, sent, mask is not None, keywords))
        found = (MediaPart(kind="image", media_type="image/png", data=PNG), MediaPart(kind="image", url="https://a/b"))
        return Images(images=found, revised_prompts=("better", None), usage=USED)

    @classmethod
    async def speech(cls, model: str, text: str, voice: Any = None, **keywords: Any) -> Speech:
        cls.asked.append((model, text, voice, keywords))
        return Speech(data=b"sound" * 10, media_type="audio/mpeg", usage=USED)

    @classmethod
    async def transcribe(cls, model: str, audio: Any, **keywords: Any) -> Transcript:
        cls.asked.append((model, audio.media_type, audio.filename, b"".join(audio.blocks()), keywords))
        return Transcript(
            text="Hello there",
            language="en",
            duration_seconds=1.5,
            segments=(Passage(text="Hello", start_seconds=0.0, end_seconds=1.0), Passage(text="x", raw={"id": 1})),
            usage=USED,
        )


@pytest.fixture(autouse=True)
def forget() -> None:
    Studio.asked.clear()


def form(*parts: tuple[str, str | None, bytes], boundary: str = "xyz") -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, filename, data in parts:
        more = f'; filename="{filename}"' if filename is not None else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


async def post(server: Running, path: str, body: Any, **fields: Any) -> Answer:
    return await server.ask("POST", path, body, **fields)


# --- embeddings -------------------------------------------------------------------------------------------------------


async def test_vectors_as_numbers() -> None:
    async with running([Studio]) as server:
        answer = await post(
            server, "/v1/embeddings", {"model": "one", "input": ["a", "b"], "dimensions": 2, "proxy": "http://x"}
        )
    assert answer.status == 200
    assert answer.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 0.0]},
            {"object": "embedding", "index": 1, "embedding": [0.5, 1.0]},
        ],
        "model": "one",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert Studio.asked == [("one", ["a", "b"], {"dimensions": 2})]


async def test_vectors_in_base64() -> None:
    async with running([Studio]) as server:
        answer = await post(
            server, "/v1/embeddings", {"model": "Studio/one", "input": "a", "encoding_format": "base64"}
        )
    (entry,) = answer.json()["data"]
    assert struct.unpack("<2f", base64.b64decode(entry["embedding"])) == (0.5, 0.0)


@pytest.mark.parametrize(
    "body",
    [
        {"input": "a"},
        {"model": 5, "input": "a"},
        {"model": "one"},
        {"model": "one", "input": []},
        {"model": "one", "input": [1.5]},
        {"model": "one", "input": ["a", 1]},
        {"model": "one", "input": [[True]]},
        {"model": "one", "input": "a", "encoding_format": "hex"},
        {"model": "one", "input": "a", "dimensions": "two"},
        {"model": "one", "input": "a", "dimensions": 0},
        {"model": "one", "input": "a", "dimensions": 1.5},
    ],
)
async def test_a_request_for_vectors_that_is_wrong(body: Any) -> None:
    async with running([Studio]) as server:
        answer = await post(server, "/v1/embeddings", body)
    assert answer.status == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert Studio.asked == []


async def test_names_of_arguments_are_no_parameters() -> None:
    body = {"model": "one", "input": "a", "self": 1, "cls": 2, "options": 3, "api_key": 4, "extra_headers": 5, "x": 6}
    async with running([Studio]) as server:
        assert (await post(server, "/v1/embeddings", body)).status == 200
        assert (await post(server, "/v1/audio/speech", {**body, "text": 7, "voice": "v"})).status == 200
    assert [asked[-1] for asked in Studio.asked] == [{"x": 6}, {"x": 6}]


async def test_a_providers_refusal_keeps_its_status_and_wait() -> None:
    async with running([Studio]) as server:
        answer = await post(server, "/v1/embeddings", {"model": "one", "input": "slow"})
    assert answer.status == 429
    assert answer.header("retry-after") == "7"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "a"}),
        ("/v1/images/generations", {"prompt": "a"}),
        ("/v1/audio/speech", {"input": "a", "voice": "v"}),
    ],
)
async def test_a_provider_that_has_no_such_service(path: str, body: dict[str, Any]) -> None:
    async with running() as server:
        answer = await post(server, path, {"model": "echo", **body})
        assert answer.status == 404
        assert answer.json()["error"]["code"] == "model_not_found"
        assert "Echo offers no" in answer.message
    known = msgspec.structs.replace(row("anthropic"), url="http://127.0.0.1:9/v1")
    async with running([DialectProvider(known, "key-of-nobody")]) as server:
        answer = await post(server, path, {"model": "anthropic/m", **body})
        assert answer.status == 404
        assert answer.json()["error"]["code"] == "model_not_found"


async def test_a_key_is_asked_for_and_its_name_logged(tmp_path: Any, caplog: Any) -> None:
    caplog.set_level("INFO", "backstream.server")
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    body = {"model": "one", "input": "a"}
    async with running([Studio], keys_file=keys) as server:
        refused = await post(server, "/v1/embeddings", body)
        assert refused.status == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert Studio.asked == []
        answer = await post(server, "/v1/embeddings", body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status == 200
    found = [record.request for record in caplog.records if hasattr(record, "request")][-1]
    assert (found["route"], found["provider"], found["model"], found["key"]) == (
        "embeddings",
        "Studio",
        "one",
        "laptop",
    )
    assert found["input_tokens"] == 3


# --- pictures ---------------------------------------------------------------------------------------------------------


async def test_pictures() -> None:
    async with running([Studio]) as server:
        answer = await post(server, "/v1/images/generations", {"model": "one", "prompt": "a cat", "n": 2, "mask": "x"})
        urls = await post(
            server, "/v1/images/generations", {"model": "one", "prompt": "a cat", "response_format": "url"}
        )
    assert answer.json()["data"] == [{"b64_json": PNG, "revised_prompt": "better"}, {"url": "https://a/b"}]
    assert answer.json()["usage"] == {"input_tokens": 3, "total_tokens": 3}
    assert urls.json()["data"][0]["url"] == f"data:image/png;base64,{PNG}"
    assert Studio.asked == [
        ("one", "a cat", [], False, {"n": 2}),
        ("one", "a cat", [], False, {"response_format": "url"}),
    ]


@pytest.mark.parametrize("more", [{"stream": True}, {"n": "2"}, {"response_format": "gif"}, {"prompt": ""}])
async def test_a_request_for_pictures_that_is_wrong(more: dict[str, Any]) -> None:
    async with running([Studio]) as server:
        answer = await post(server, "/v1/images/generations", {"model": "one", "prompt": "a", **more})
    assert answer.status == 400
    assert Studio.asked == []


async def test_pictures_are_changed() -> None:
    picture = b"\x89PNG\r\n\x1a\nrest"
    body, fields = form(
        ("model", None, b"one"),
        ("prompt", None, b"a hat"),
        ("image[]", "a.png", picture),
        ("image[]", "b.png", picture),
        ("mask", "m.png", picture),
        ("stream", None, b"false"),
    )
    async with running([Studio]) as server:
        answer = await post(server, "/v1/images/edits", body, headers=fields)
        assert answer.status == 200, answer.body
        body, fields = form(("model", None, b"one"), ("prompt", None, b"a hat"))
        assert (await post(server, "/v1/images/edits", body, headers=fields)).status == 400
    assert Studio.asked == [("one", "a hat", [("image/png", picture)] * 2, True, {})]


# --- speech -----------------------------------------------------------------------------------------------------------


async def test_speech_that_comes_whole() -> None:
    async with running([Studio]) as server:
        answer = await post(
            server, "/v1/audio/speech", {"model": "one", "input": "Hello", "voice": "alloy", "response_format": "mp3"}
        )
    assert answer.header("content-type") == "audio/mpeg"
    assert answer.body == b"sound" * 10
    assert answer.whole
    assert Studio.asked == [("one", "Hello", "alloy", {"response_format": "mp3"})]


class _Speaking:
    media_type = "audio/wav"
    usage = None

    def __init__(self, journal: Journal, failure: Exception | None) -> None:
        self.journal, self.failure = journal, failure

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.journal.note("closed")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"first"
        await self.journal.wait_for("heard")
        if self.failure is not None:
            raise self.failure
        yield b"second"


@pytest.mark.parametrize("failure", [None, RateLimitError("too much", status=429)])
async def test_speech_is_handed_on_as_it_comes(failure: Exception | None) -> None:
    journal = Journal()

    class Speaker(Studio):
        @classmethod
        def speech_stream(cls, model: str, text: str, voice: Any = None, **keywords: Any) -> Any:
            return _Speaking(journal, failure)

    async with running([Speaker]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head_and_body("POST", "/v1/audio/speech", {"model": "one", "input": "Hello"}))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"audio/wav" in head
        assert b"\r\nx-accel-buffering: no\r\n" in head
        assert b"\r\ncache-control: no-cache\r\n" in head
        assert b"first" in await reader.readuntil(b"first\r\n")
        journal.note("heard")
        rest = b""
        try:
            rest = await reader.read()
        except ConnectionError:
            assert failure is not None
        assert rest.endswith(b"0\r\n\r\n") == (failure is None)  # a broken sound has no end
        assert (b"second" in rest) == (failure is None)
        await journal.wait_for("closed")
        await close(writer)


@pytest.mark.parametrize(
    "more", [{"voice": 5}, {"speed": "fast"}, {"stream_format": "sse"}, {"response_format": "midi"}, {"input": 5}]
)
async def test_a_request_for_speech_that_is_wrong(more: dict[str, Any]) -> None:
    async with running([Studio]) as server:
        answer = await post(server, "/v1/audio/speech", {"model": "one", "input": "a", "voice": "v", **more})
    assert answer.status == 400
    assert Studio.asked == []


# --- transcripts ------------------------------------------------------------------------------------------------------

WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\x00" * 100


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (None, "application/json"),
        ("json", "application/json"),
        ("verbose_json", "application/json"),
        ("text", "text/plain; charset=utf-8"),
        ("srt", "text/plain; charset=utf-8"),
    ],
)
async def test_a_transcript(wanted: str | None, kind: str) -> None:
    parts: list[tuple[str, str | None, bytes]] = [
        ("file", "../talk.wav", WAV),
        ("model", None, b"one"),
        ("prompt", None, "Ünder".encode()),
        ("timestamp_granularities[]", None, b"word"),
        ("timestamp_granularities[]", None, b"segment"),
        ("stream", None, b"false"),
    ]
    parts += [("response_format", None, wanted.encode())] if wanted else []
    body, fields = form(*parts)
    async with running([Studio]) as server:
        answer = await post(server, "/v1/audio/transcriptions", body, headers=fields)
    assert answer.status == 200, answer.body
    assert answer.header("content-type") == kind
    ((model, media_type, filename, data, keywords),) = Studio.asked
    assert (model, media_type, filename, data) == ("one", "audio/wav", "talk.wav", WAV)
    more = {"response_format": wanted} if wanted else {}
    assert keywords == {"prompt": "Ünder", "timestamp_granularities": ["word", "segment"], **more}
    if kind.startswith("text"):
        assert answer.body == b"Hello there\n"
    elif wanted == "verbose_json":
        assert answer.json() == {
            "task": "transcribe",
            "language": "en",
            "duration": 1.5,
            "text": "Hello there",
            "segments": [{"text": "Hello", "start": 0.0, "end": 1.0}, {"id": 1}],
            "usage": {"type": "tokens", "input_tokens": 3, "total_tokens": 3},
        }
    else:
        assert answer.json()["text"] == "Hello there"
        assert set(answer.json()) == {"text", "usage"}


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([("model", None, b"one")], 400),
        ([("file", "a.wav", b""), ("model", None, b"one")], 400),
        ([("file", "a.wav", WAV), ("file", "b.wav", WAV), ("model", None, b"one")], 400),
        ([("file", "a.wav", WAV)], 400),
        ([("file", "a.wav", WAV), ("model", None, b"one"), ("stream", None, b"true")], 400),
        ([("file", "a.wav", WAV), ("model", None, b"one"), ("response_format", None, b"pdf")], 400),
        ([("file", "a.wav", WAV), ("model", None, b"one"), ("prompt", None, b"x" * 20_000)], 413),
    ],
)
async def test_a_request_for_a_transcript_that_is_wrong(parts: Any, status: int) -> None:
    body, fields = form(*parts)
    async with running([Studio]) as server:
        answer = await post(server, "/v1/audio/transcriptions", body, headers=fields)
    assert answer.status == status
    assert answer.json()["error"]["message"]
    assert Studio.asked == []


async def test_a_body_of_another_type() -> None:
    async with running([Studio]) as server:
        as_json = await post(server, "/v1/audio/transcriptions", {"model": "one"})
        body, fields = form(("model", None, b"one"))
        as_form = await post(server, "/v1/embeddings", body, headers=fields)
        broken = await post(server, "/v1/audio/transcriptions", body[:-9], headers=fields)
    assert (as_json.status, as_form.status, broken.status) == (415, 415, 400)


# --- through a provider of the table ----------------------------------------------------------------------------------


async def test_one_gateway_behind_another() -> None:
    """What goes out is what our own provider reads: both sides of OpenAI's form meet."""
    async with running([Studio]) as inner:
        known = msgspec.structs.replace(row("openai"), url=f"{inner.url}/v1")
        async with running([DialectProvider(known, "key-of-nobody")]) as outer:
            vectors = await post(outer, "/v1/embeddings", {"model": "openai/one", "input": ["a", "b"]})
            assert [entry["embedding"] for entry in vectors.json()["data"]] == [[0.5, 0.0], [0.5, 1.0]]
            pictures = await post(outer, "/v1/images/generations", {"model": "openai/one", "prompt": "a cat"})
            assert [set(each) for each in pictures.json()["data"]] == [{"b64_json", "revised_prompt"}, {"url"}]
            sound = await post(outer, "/v1/audio/speech", {"model": "openai/one", "input": "Hello", "voice": "v"})
            assert (sound.header("content-type"), sound.body) == ("audio/mpeg", b"sound" * 10)
            body, fields = form(("file", "talk.wav", WAV), ("model", None, b"openai/one"))
            text = await post(outer, "/v1/audio/transcriptions", body, headers=fields)
            assert json.loads(text.body)["text"] == "Hello there"
            refused = await post(outer, "/v1/embeddings", {"model": "openai/one", "input": "slow"})
            assert (refused.status, refused.header("retry-after")) == (429, "7")
