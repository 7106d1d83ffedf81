"""Services in the forms of Gemini and Ollama, and what a form does not offer."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable
from typing import Any

import pytest

from backstream.dialects.services import services_for
from backstream.dialects.services.base import ServiceForms
from backstream.dialects.services.pcm import render_wav, sample_form
from backstream.errors import ContentRefusedError, DecodeError, UnsupportedFeatureError
from backstream.media import MediaItem
from backstream.wire.http import Body

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PICTURE = MediaItem("image/png", size=len(PNG), blocks=lambda: iter((PNG,)))
URL = MediaItem("", url="https://example.org/a")
SAMPLES = bytes(range(240))


def tree(body: Body) -> Any:
    return json.loads(b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in body))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def gemini() -> ServiceForms:
    found = services_for("gemini")
    assert found is not None
    return found


@pytest.fixture
def ollama() -> ServiceForms:
    found = services_for("ollama")
    assert found is not None
    return found


# --- Gemini: embeddings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gemini-embedding-001", "models/gemini-embedding-001"])
def test_gemini_embeds_one_text(gemini: ServiceForms, model: str) -> None:
    rendered = gemini.render_embeddings("/models", model, "Hi", {"dimensions": 8, "taskType": "CLUSTERING"})
    assert rendered.path == "/models/gemini-embedding-001:embedContent"
    assert tree(rendered.body) == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "Hi"}]},
        "outputDimensionality": 8,
        "taskType": "CLUSTERING",
    }


def test_gemini_embeds_several_texts_in_one_request(gemini: ServiceForms) -> None:
    rendered = gemini.render_embeddings("/models", "e", ["a", "b"], {"dimensions": 8})
    assert rendered.path == "/models/e:batchEmbedContents"
    assert tree(rendered.body) == {
        "requests": [
            {"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 8} for text in "ab"
        ]
    }


def test_a_model_cannot_leave_its_place_in_the_path(gemini: ServiceForms) -> None:
    assert gemini.render_embeddings("/models", "a/../b?c", "x", {}).path == "/models/a%2F..%2Fb%3Fc:embedContent"


@pytest.mark.parametrize("texts", [[1, 2], [[1]], ["a", 1]])
@pytest.mark.parametrize("dialect", ["gemini", "ollama"])
def test_tokens_are_refused_by_those_that_take_text_only(dialect: str, texts: Any) -> None:
    forms = services_for(dialect)
    assert forms is not None
    with pytest.raises(UnsupportedFeatureError, match=f"{dialect} makes embeddings of text only"):
        forms.render_embeddings("/x", "m", texts, {})


@pytest.mark.parametrize(
    ("answer", "vectors"),
    [
        ({"embedding": {"values": [1, 0.5]}}, ((1.0, 0.5),)),
        ({"embeddings": [{"values": [1]}, {"values": [2]}]}, ((1.0,), (2.0,))),
        ({"embeddings": []}, ()),
    ],
)
def test_vectors_of_gemini(gemini: ServiceForms, answer: Any, vectors: Any) -> None:
    found = gemini.parse_embeddings(json.dumps(answer).encode())
    assert (found.vectors, found.usage, found.model) == (vectors, None, None)


def test_what_gemini_counted(gemini: ServiceForms) -> None:
    answer = {"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 4}}
    usage = gemini.parse_embeddings(json.dumps(answer).encode()).usage
    assert usage is not None
    assert usage.usage == {"prompt_tokens": 4}
    assert usage.raw == {"gemini": {"promptTokenCount": 4}}


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"embedding":{}}', b""])
def test_no_vectors_of_gemini(gemini: ServiceForms, body: bytes) -> None:
    with pytest.raises(DecodeError, match="no embeddings"):
        gemini.parse_embeddings(body)


# --- Gemini: pictures -------------------------------------------------------------------------------------------------


def test_gemini_makes_pictures_by_an_answer(gemini: ServiceForms) -> None:
    rendered = gemini.render_images(
        "/models",
        "gemini-2.5-flash-image",
        "a hat",
        {"n": 2, "safetySettings": [], "generationConfig": {"imageConfig": {"aspectRatio": "1:1"}}},
        items=[PICTURE],
    )
    assert rendered.path == "/models/gemini-2.5-flash-image:generateContent"
    assert tree(rendered.body) == {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "a hat"}, {"inlineData": {"mimeType": "image/png", "data": b64(PNG)}}],
            }
        ],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "candidateCount": 2,
            "imageConfig": {"aspectRatio": "1:1"},
        },
        "safetySettings": [],
    }


def test_a_picture_of_gemini_needs_no_parameters(gemini: ServiceForms) -> None:
    rendered = gemini.render_images("/models", "m", "p", {})
    assert tree(rendered.body)["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}


def test_what_gemini_cannot_do_with_pictures(gemini: ServiceForms) -> None:
    with pytest.raises(UnsupportedFeatureError, match="mask"):
        gemini.render_images("/models", "m", "p", {}, items=[PICTURE], mask=PICTURE)
    with pytest.raises(UnsupportedFeatureError, match=r"media\[0\].*URL"):
        gemini.render_images("/models", "m", "p", {}, items=[URL])


def answer_of(*parts: Any, **members: Any) -> bytes:
    return json.dumps({"candidates": [{"content": {"parts": list(parts)}}], **members}).encode()


def data_of(data: bytes, media_type: str, **members: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": b64(data)}, **members}


def test_pictures_of_gemini(gemini: ServiceForms) -> None:
    body = answer_of(
        {"text": "Here:"},
        data_of(b"draft", "image/png", thought=True),
        data_of(b"sound", "audio/wav"),
        data_of(PNG, "image/jpeg"),
        modelVersion="g-1",
        usageMetadata={
            "promptTokenCount": 1,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 6,
        },
    )
    found = gemini.parse_images(body)
    assert [(part.media_type, part.data) for part in found.images] == [("image/png", b64(PNG))]
    assert (found.revised_prompts, found.model) == ((None,), "g-1")
    assert found.usage is not None
    assert found.usage.usage == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 6,
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT"),
        ({"candidates": [{}, {"finishReason": "IMAGE_SAFETY", "content": {}}]}, "IMAGE_SAFETY"),
    ],
)
@pytest.mark.parametrize("method", ["parse_images", "parse_speech"])
def test_a_policy_of_gemini_refused(gemini: ServiceForms, method: str, answer: Any, kind: str) -> None:
    body = json.dumps(answer).encode()
    with pytest.raises(ContentRefusedError) as caught:
        gemini.parse_images(body) if method == "parse_images" else gemini.parse_speech(body, {})
    assert caught.value.kind == kind
    assert caught.value.body == body


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, r"no picture\Z"),
        ({"candidates": [{"finishReason": "NO_IMAGE"}], "promptFeedback": {}}, "ended with NO_IMAGE"),
        ({"candidates": 3}, "Gemini's form"),
        ({"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}}]}, "base64"),
    ],
)
def test_no_pictures_of_gemini(gemini: ServiceForms, answer: Any, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        gemini.parse_images(json.dumps(answer).encode())


# --- Gemini: speech ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voice", "config"),
    [
        (None, {}),
        ("Kore", {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
        ({"voice": "v"}, {"speechConfig": {"voiceConfig": {"voice": "v"}}}),
    ],
)
def test_gemini_speaks_by_an_answer(gemini: ServiceForms, voice: Any, config: Any) -> None:
    rendered = gemini.render_speech("/models", "tts", "Hello", voice, {"response_format": "pcm"})
    assert rendered.path == "/models/tts:generateContent"
    assert tree(rendered.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "generationConfig": {"responseModalities": ["AUDIO"], **config},
    }


def test_gemini_gives_no_other_format(gemini: ServiceForms) -> None:
    with pytest.raises(UnsupportedFeatureError, match="wav or pcm"):
        gemini.render_speech("/models", "tts", "Hello", None, {"response_format": "mp3"})


@pytest.mark.parametrize(
    ("media_type", "form"),
    [
        ("audio/L16;codec=pcm;rate=24000", (24000, 1)),
        ("audio/l16; rate=16000; channels=2", (16000, 2)),
        ("audio/pcm", (24000, 1)),
        ("audio/L16;rate=0", (24000, 1)),
        ("audio/wav", None),
        ("audio/l16x", None),
    ],
)
def test_the_form_of_samples(media_type: str, form: tuple[int, int] | None) -> None:
    assert sample_form(media_type) == form


def test_samples_with_a_header_are_a_file_that_others_open() -> None:
    with wave.open(io.BytesIO(render_wav(SAMPLES, 16000, 2))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 2, 2)
        assert file.readframes(file.getnframes()) == SAMPLES


def test_bare_samples_become_a_file(gemini: ServiceForms) -> None:
    kind = "audio/L16;codec=pcm;rate=24000"
    body = answer_of(data_of(SAMPLES[:100], kind), data_of(SAMPLES[100:], kind), modelVersion="g-1")
    speech = gemini.parse_speech(body, {})
    assert (speech.media_type, speech.model) == ("audio/wav", "g-1")
    assert speech.data == render_wav(SAMPLES, 24000, 1)


def test_bare_samples_are_to_be_had(gemini: ServiceForms) -> None:
    kind = "audio/L16;codec=pcm;rate=24000"
    speech = gemini.parse_speech(answer_of(data_of(SAMPLES, kind)), {"response_format": "pcm"})
    assert (speech.data, speech.media_type) == (SAMPLES, kind)


def test_a_finished_file_is_left_alone(gemini: ServiceForms) -> None:
    speech = gemini.parse_speech(answer_of(data_of(b"RIFF", "audio/wav")), {})
    assert (speech.data, speech.media_type) == (b"RIFF", "audio/wav")


def test_an_answer_of_gemini_is_never_the_sound_itself(gemini: ServiceForms) -> None:
    assert gemini.speech_type("application/json", b"{", {}) is None


def test_no_sound_of_gemini(gemini: ServiceForms) -> None:
    with pytest.raises(DecodeError, match="no sound"):
        gemini.parse_speech(answer_of({"text": "no"}), {})


# --- Ollama -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", ["a", ["a", "b"]])
def test_ollama_embeds(ollama: ServiceForms, texts: Any) -> None:
    rendered = ollama.render_embeddings("/api/embed", "m", texts, {"truncate": False})
    assert rendered.path == "/api/embed"
    assert tree(rendered.body) == {"model": "m", "input": texts, "truncate": False}


def test_vectors_of_ollama(ollama: ServiceForms) -> None:
    answer = {"model": "m", "embeddings": [[1, 0.5], [2, 3]], "total_duration": 5, "prompt_eval_count": 7}
    found = ollama.parse_embeddings(json.dumps(answer).encode())
    assert (found.vectors, found.model) == (((1.0, 0.5), (2.0, 3.0)), "m")
    assert found.usage is not None
    assert (found.usage.usage, found.usage.model) == ({"prompt_tokens": 7}, "m")


def test_the_form_of_the_route_before(ollama: ServiceForms) -> None:
    found = ollama.parse_embeddings(b'{"embedding":[1,2]}')
    assert (found.vectors, found.usage) == (((1.0, 2.0),), None)


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings":[["x"]]}', b"null"])
def test_no_vectors_of_ollama(ollama: ServiceForms, body: bytes) -> None:
    with pytest.raises(DecodeError, match="no embeddings"):
        ollama.parse_embeddings(body)


# --- what is not offered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["anthropic_messages", "backend_api", "", "unknown"])
def test_other_dialects_have_no_services(dialect: str) -> None:
    assert services_for(dialect) is None


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("embeddings", lambda forms: forms.render_embeddings("/", "m", "t", {})),
        ("embeddings", lambda forms: forms.parse_embeddings(b"")),
        ("images", lambda forms: forms.render_images("/", "m", "t", {})),
        ("images", lambda forms: forms.parse_images(b"")),
        ("speech", lambda forms: forms.render_speech("/", "m", "t", None, {})),
        ("speech", lambda forms: forms.speech_type("", b"", {})),
        ("speech", lambda forms: forms.parse_speech(b"", {})),
        ("transcriptions", lambda forms: forms.render_transcription("/", "m", None, {}, boundary="b")),
        ("transcriptions", lambda forms: forms.parse_transcript(b"", "")),
    ],
)
def test_what_a_form_does_not_offer_it_refuses(service: str, call: Callable[[ServiceForms], object]) -> None:
    with pytest.raises(UnsupportedFeatureError, match=f"the odd dialect has no words for {service}"):
        call(ServiceForms("odd"))
