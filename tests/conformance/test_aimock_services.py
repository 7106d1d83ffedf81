"""Our services against an upstream that nobody here wrote: vectors, pictures, speech and transcripts."""

from __future__ import annotations

import base64

import msgspec
import pytest

from backstream import DialectProvider, RefusedError
from backstream.providers.table import row
from conformance.support_aimock import Aimock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)


def provider(aimock: Aimock, name: str = "openai", base: str = "/v1") -> DialectProvider:
    moved = msgspec.structs.replace(row(name), url=aimock.url + base, key_needed=False)
    return DialectProvider(moved, "sk-test")


async def test_embeddings(aimock: Aimock) -> None:
    aimock.load({"match": {"inputText": "Hello"}, "response": {"embedding": [0.5, -0.25]}})
    found = await provider(aimock).embed("text-embedding-3-small", "Hello")
    assert found.vectors == ((0.5, -0.25),)
    made_up = await provider(aimock).embed("text-embedding-3-small", ["one", "two"], dimensions=8)
    assert [len(vector) for vector in made_up.vectors] == [8, 8]
    assert made_up.vectors[0] != made_up.vectors[1]


@pytest.mark.parametrize(("name", "base"), [("gemini", "/v1beta"), ("ollama", "")])
async def test_embeddings_of_other_dialects(aimock: Aimock, name: str, base: str) -> None:
    aimock.load({"match": {"inputText": "Hello"}, "response": {"embedding": [0.5, -0.25]}})
    found = await provider(aimock, name, base).embed("an-embedding-model", "Hello")
    assert found.vectors == ((0.5, -0.25),)


async def test_pictures(aimock: Aimock) -> None:
    images = [{"b64Json": base64.b64encode(PNG).decode(), "revisedPrompt": "a big cat"}, {"url": "https://e.org/a.png"}]
    aimock.load({"match": {"userMessage": "cat", "endpoint": "image"}, "response": {"images": images}})
    found = await provider(aimock).images("gpt-image-1", "a cat", n=2)
    assert [(part.media_type, part.url) for part in found.images] == [("image/png", None), ("", "https://e.org/a.png")]
    assert found.revised_prompts == ("a big cat", None)
    changed = await provider(aimock).images("gpt-image-1", "a cat with a hat", media=[PNG])
    assert changed.images[0].media_type == "image/png"


async def test_speech(aimock: Aimock) -> None:
    sound = {"audio": base64.b64encode(b"ID3 sound").decode(), "format": "mp3"}
    aimock.load({"match": {"userMessage": "Hello", "endpoint": "speech"}, "response": sound})
    speech = await provider(aimock).speech("tts-1", "Hello", "alloy")
    assert (speech.data, speech.media_type) == (b"ID3 sound", "audio/mpeg")


async def test_transcripts(aimock: Aimock) -> None:
    words = [{"word": "Hello", "start": 0, "end": 0.5}]
    transcription = {"text": "Hello there", "language": "english", "duration": 1.5, "words": words}
    aimock.load({"match": {"endpoint": "transcription"}, "response": {"transcription": transcription}})
    found = await provider(aimock).transcribe(
        "whisper-1", (WAV, "talk.wav"), response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert (found.text, found.language, found.duration_seconds) == ("Hello there", "english", 1.5)
    assert [(word.text, word.end_seconds) for word in found.words] == [("Hello", 0.5)]


async def test_refusals(aimock: Aimock) -> None:
    aimock.fail_next(429, "slowly")
    with pytest.raises(RefusedError, match="slowly") as caught:
        await provider(aimock).embed("text-embedding-3-small", "Hello")
    assert caught.value.status == 429
