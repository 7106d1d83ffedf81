"""Services in OpenAI's form: what is rendered, and every answer that is read or refused."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.dialects.services import services_for
from backstream.dialects.services.base import ServiceForms
from backstream.errors import DecodeError, InvalidRequestError, UnsupportedFeatureError
from backstream.media import MediaItem
from backstream.services import Passage
from backstream.wire.http import Body
from backstream.wire.json_body import json_base64

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)


@pytest.fixture
def forms() -> ServiceForms:
    found = services_for("openai_chat")
    assert found is not None
    return found


def written(body: Body) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in body)


def tree(body: Body) -> Any:
    return json.loads(written(body))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def item(data: bytes, media_type: str, filename: str | None = None) -> MediaItem:
    return MediaItem(media_type, filename, size=len(data), blocks=lambda: iter((data,)))


URL = MediaItem("", url="https://example.org/a")


# --- embeddings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", ["a", ["a", "b"], [1, 2], [[1], [2, 3]]])
def test_embeddings_are_asked_for_in_base64(forms: ServiceForms, texts: Any) -> None:
    rendered = forms.render_embeddings("/embeddings", "m", texts, {"dimensions": 8, "user": "u"})
    assert rendered.path == "/embeddings"
    assert tree(rendered.body) == {
        "model": "m",
        "input": texts,
        "encoding_format": "base64",
        "dimensions": 8,
        "user": "u",
    }


def test_the_caller_may_ask_for_lists(forms: ServiceForms) -> None:
    rendered = forms.render_embeddings("/embeddings", "m", "a", {"encoding_format": "float"})
    assert tree(rendered.body)["encoding_format"] == "float"


def test_vectors_of_both_encodings_in_the_order_of_the_texts(forms: ServiceForms) -> None:
    data = [
        {"object": "embedding", "index": 1, "embedding": b64(struct.pack("<2f", 0.5, -2))},
        {"object": "embedding", "index": 0, "embedding": [1, 0.25]},
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    found = forms.parse_embeddings(json.dumps({"data": data, "model": "m-1", "usage": usage}).encode())
    assert found.vectors == ((1.0, 0.25), (0.5, -2.0))
    assert found.model == "m-1"
    assert found.usage is not None
    assert found.usage.usage == {"prompt_tokens": 3, "total_tokens": 3}
    assert found.usage.raw == {"openai_chat": usage}


@pytest.mark.parametrize("indexes", [(0, 0), (5, 6), (None, None), (0, None)])
def test_indexes_that_make_no_sense_do_not_sort(forms: ServiceForms, indexes: tuple[int | None, ...]) -> None:
    data = [{"index": index, "embedding": [number]} for number, index in enumerate(indexes)]
    assert forms.parse_embeddings(json.dumps({"data": data}).encode()).vectors == ((0.0,), (1.0,))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no embeddings"),
        (b"<html>", "no embeddings"),
        (b'{"data":[{"embedding":"x"}]}', "no base64"),
        (b'{"data":[{"embedding":"AAA="}]}', "broken length"),
        (b'{"data":[{"embedding":"\xc3\xbc"}]}', "no base64"),
        (b'{"data":[{"embedding":[null]}]}', "no embeddings"),
        (b'{"error":"x"}', "no embeddings"),
        (b'{"data":[{"embedding":"\xff"}]}', "no embeddings"),
        (b"[" * 100_000, "no embeddings"),
    ],
)
def test_other_answers_are_no_embeddings(forms: ServiceForms, body: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        forms.parse_embeddings(body)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), max_size=9), max_size=9))
def test_base64_says_the_same_as_lists(vectors: list[list[float]]) -> None:
    forms = services_for("openai_responses")
    assert forms is not None
    packed = [{"embedding": b64(struct.pack(f"<{len(each)}f", *each))} for each in vectors]
    found = forms.parse_embeddings(json.dumps({"data": packed}).encode())
    assert [list(each) for each in found.vectors] == vectors


@pytest.mark.parametrize("usage", [None, {}, [], "many", 3])
def test_no_usage_is_invented(forms: ServiceForms, usage: object) -> None:
    assert forms.parse_embeddings(json.dumps({"data": [], "usage": usage}).encode()).usage is None


def test_counts_that_are_none_are_left_out(forms: ServiceForms) -> None:
    usage = {"prompt_tokens": "3", "input_tokens": True, "total_tokens": 4}
    found = forms.parse_embeddings(json.dumps({"data": [], "usage": usage}).encode()).usage
    assert found is not None
    assert found.usage == {"total_tokens": 4}


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_are_asked_for_in_json(forms: ServiceForms) -> None:
    rendered = forms.render_images("/images/generations", "m", "a cat", {"n": 2, "size": "auto"})
    assert rendered.path == "/images/generations"
    assert rendered.headers == {}
    assert tree(rendered.body) == {"model": "m", "prompt": "a cat", "n": 2, "size": "auto"}


def test_one_picture_to_change_goes_out_as_a_file(forms: ServiceForms) -> None:
    rendered = forms.render_images(
        "/images/generations",
        "m",
        "a hat",
        {"n": 1, "background": None},
        items=[item(PNG, "image/png")],
        mask=item(PNG, "image/png", "mask.png"),
        boundary="b",
    )
    assert rendered.path == "/images/edits"
    assert rendered.headers == {"Content-Type": "multipart/form-data; boundary=b"}
    text = written(rendered.body)
    assert text.startswith(b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n')
    assert b'name="n"\r\n\r\n1\r\n' in text
    assert b"background" not in text
    assert b'name="image"; filename="image-0.png"\r\nContent-Type: image/png\r\n\r\n' + PNG + b"\r\n" in text
    assert b'name="mask"; filename="mask.png"' in text


def test_several_pictures_are_a_list(forms: ServiceForms) -> None:
    items = [item(PNG, "image/png", "a.png"), item(PNG, "image/unknown")]
    rendered = forms.render_images("/v/generations", "m", "p", {}, items=items, boundary="b")
    text = written(rendered.body)
    assert b'name="image[]"; filename="a.png"' in text
    assert b'name="image[]"; filename="image-1"' in text


def test_a_url_cannot_be_changed(forms: ServiceForms) -> None:
    with pytest.raises(UnsupportedFeatureError, match=r"media\[1\].*URL"):
        forms.render_images("/generations", "m", "p", {}, items=[item(PNG, "image/png"), URL], boundary="b")


def test_a_route_of_another_name_changes_none(forms: ServiceForms) -> None:
    with pytest.raises(UnsupportedFeatureError, match="changes pictures"):
        forms.render_images("/pictures", "m", "p", {}, items=[item(PNG, "image/png")], boundary="b")


def test_pictures_by_data_and_by_url(forms: ServiceForms) -> None:
    data = [
        {"b64_json": b64(PNG), "revised_prompt": "a big cat"},
        {"url": "https://example.org/cat.png"},
        {"url": "data:image/webp;base64," + b64(b"????")},
        {"b64_json": b64(b"????")},
    ]
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    answer = {"created": 1, "data": data, "output_format": "jpeg", "usage": usage}
    found = forms.parse_images(json.dumps(answer).encode())
    assert [(part.kind, part.media_type, part.data, part.url) for part in found.images] == [
        ("image", "image/png", b64(PNG), None),
        ("image", "", None, "https://example.org/cat.png"),
        ("image", "image/webp", b64(b"????"), None),
        ("image", "image/jpeg", b64(b"????"), None),
    ]
    assert found.revised_prompts == ("a big cat", None, None, None)
    assert found.usage is not None
    assert found.usage.usage == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_only_the_head_of_a_picture_is_decoded_here(forms: ServiceForms) -> None:
    large = b64(PNG + bytes(10_000))
    answer = json.dumps({"data": [{"b64_json": large}]}).encode()
    assert forms.parse_images(answer).images[0].data == large


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([{}], "without data or URL"),
        ([{"b64_json": ""}], "empty"),
        ([{"b64_json": "%%%"}], "no base64"),
        ([{"b64_json": 3}], "no pictures"),
        (None, "no pictures"),
    ],
)
def test_other_answers_are_no_pictures(forms: ServiceForms, data: object, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        forms.parse_images(json.dumps({"data": data}).encode())


# --- speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voice", "said"), [("alloy", {"voice": "alloy"}), ({"id": "v"}, {"voice": {"id": "v"}}), (None, {})]
)
def test_speech_is_asked_for(forms: ServiceForms, voice: Any, said: Any) -> None:
    rendered = forms.render_speech("/audio/speech", "m", "Hello", voice, {"speed": 1.5})
    assert rendered.path == "/audio/speech"
    assert tree(rendered.body) == {"model": "m", "input": "Hello", "speed": 1.5, **said}


@pytest.mark.parametrize(
    ("content_type", "head", "wanted", "expected"),
    [
        ("audio/mpeg", b"", None, "audio/mpeg"),
        ("audio/WAV; charset=binary", b"", "mp3", "audio/wav"),
        ("audio/pcm;rate=24000;channels=1", b"", None, "audio/pcm;rate=24000;channels=1"),
        ("audio/L16; rate=8000", b"", None, "audio/L16; rate=8000"),
        ("application/octet-stream", WAV, None, "audio/wav"),
        ("application/octet-stream", WAV, "mp3", "audio/mpeg"),
        ("application/octet-stream", WAV, ["mp3"], "audio/wav"),
        ("application/octet-stream", WAV, "new", "audio/wav"),
        ("", b"\x00\x01", "pcm", "audio/pcm"),
        ("", b"\x00\x01", None, "application/octet-stream"),
        ("application/json; charset=utf-8", b"{", None, None),
    ],
)
def test_the_type_of_a_sound(
    forms: ServiceForms, content_type: str, head: bytes, wanted: Any, expected: str | None
) -> None:
    members = {} if wanted is None else {"response_format": wanted}
    assert forms.speech_type(content_type, head, members) == expected


@pytest.mark.parametrize("content_type", ["text/html", "text/event-stream", "image/png"])
def test_other_answers_are_no_sound(forms: ServiceForms, content_type: str) -> None:
    with pytest.raises(DecodeError, match="no sound"):
        forms.speech_type(content_type, b"", {})


@pytest.mark.parametrize(
    ("data", "wanted", "expected"),
    [(WAV, None, "audio/wav"), (b"??", "opus", "audio/ogg"), (b"\x00\x01", None, "application/octet-stream")],
)
def test_a_sound_inside_json(forms: ServiceForms, data: bytes, wanted: str | None, expected: str) -> None:
    body = json.dumps({"audio_data": b64(data)}).encode()
    speech = forms.parse_speech(body, {"response_format": wanted})
    assert (speech.data, speech.media_type) == (data, expected)


@pytest.mark.parametrize("body", [b"{}", b"", b'{"audio_data":"%"}'])
def test_json_without_a_sound(forms: ServiceForms, body: bytes) -> None:
    with pytest.raises(DecodeError):
        forms.parse_speech(body, {})


# --- transcripts ------------------------------------------------------------------------------------------------------


def test_a_transcript_is_asked_for_by_a_form(forms: ServiceForms) -> None:
    members = {
        "language": "en",
        "temperature": 0.5,
        "flag": True,
        "timestamp_granularities": ["word", "segment"],
        "include[]": ("logprobs",),
        "chunking_strategy": {"type": "server_vad"},
        "prompt": None,
    }
    rendered = forms.render_transcription(
        "/audio/transcriptions", "whisper-1", item(WAV, "audio/wav", "talk.wav"), members, boundary="b"
    )
    assert rendered.path == "/audio/transcriptions"
    assert rendered.headers == {"Content-Type": "multipart/form-data; boundary=b"}
    fields = [
        part.split(b"\r\n\r\n", 1) for part in written(rendered.body).split(b"--b\r\nContent-Disposition: form-data; ")
    ]
    assert fields[1:-1] == [
        [b'name="model"', b"whisper-1\r\n"],
        [b'name="language"', b"en\r\n"],
        [b'name="temperature"', b"0.5\r\n"],
        [b'name="flag"', b"true\r\n"],
        [b'name="timestamp_granularities[]"', b"word\r\n"],
        [b'name="timestamp_granularities[]"', b"segment\r\n"],
        [b'name="include[]"', b"logprobs\r\n"],
        [b'name="chunking_strategy"', b'{"type":"server_vad"}\r\n'],
    ]
    assert fields[-1][0] == b'name="file"; filename="talk.wav"\r\nContent-Type: audio/wav'


@pytest.mark.parametrize(("media_type", "name"), [("audio/wav", b"audio.wav"), ("audio/odd", b"audio")])
def test_a_sound_without_a_name_gets_one(forms: ServiceForms, media_type: str, name: bytes) -> None:
    rendered = forms.render_transcription("/t", "m", item(WAV, media_type), {}, boundary="b")
    assert b'filename="' + name + b'"' in written(rendered.body)


def test_a_sound_may_be_where_a_parameter_says(forms: ServiceForms) -> None:
    rendered = forms.render_transcription("/t", "m", None, {"url": "https://example.org/a.wav"}, boundary="b")
    assert b"filename" not in written(rendered.body)
    with pytest.raises(UnsupportedFeatureError, match="URL"):
        forms.render_transcription("/t", "m", URL, {}, boundary="b")


def test_a_file_is_no_parameter(forms: ServiceForms) -> None:
    with pytest.raises(InvalidRequestError, match="as media"):
        forms.render_transcription("/t", "m", None, {"a": json_base64(item(WAV, "audio/wav"))}, boundary="b")


def test_a_transcript_with_times(forms: ServiceForms) -> None:
    segment = {"id": 0, "start": 0, "end": 1.5, "text": " Hello.", "avg_logprob": -0.3}
    spoken = {"type": "transcript.text.segment", "id": "s", "start": "1.5", "end": "x", "text": "Hi", "speaker": "A"}
    word = {"word": "Hello", "start": 0.0, "end": True}
    answer = {
        "task": "transcribe",
        "language": "english",
        "duration": "2.5",
        "text": "Hello. Hi",
        "segments": [segment, spoken],
        "words": [word, {}],
        "usage": {"type": "duration", "seconds": 3},
    }
    found = forms.parse_transcript(json.dumps(answer).encode(), "application/json; charset=utf-8")
    assert (found.text, found.language, found.duration_seconds) == ("Hello. Hi", "english", 2.5)
    assert found.segments == (
        Passage(text=" Hello.", start_seconds=0.0, end_seconds=1.5, raw=segment),
        Passage(text="Hi", start_seconds=1.5, speaker="A", raw=spoken),
    )
    assert found.words == (Passage(text="Hello", start_seconds=0.0, raw=word), Passage(text=""))
    assert found.usage is not None
    assert found.usage.usage == {}
    assert found.usage.raw == {"openai_chat": {"type": "duration", "seconds": 3}}


def test_the_shortest_transcript(forms: ServiceForms) -> None:
    usage = {"type": "tokens", "input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    found = forms.parse_transcript(json.dumps({"text": "Hi", "usage": usage}).encode(), "application/json")
    assert (found.text, found.duration_seconds, found.segments, found.words) == ("Hi", None, (), ())
    assert found.usage is not None
    assert found.usage.usage == {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("Grüße\n".encode(), "text/plain; charset=utf-8", "Grüße\n"),
        (
            b"\xef\xbb\xbf1\n00:00:00,000 --> 00:00:01,000\nHi\n",
            "application/x-subrip",
            "1\n00:00:00,000 --> 00:00:01,000\nHi\n",
        ),
        (b"WEBVTT\n", "text/vtt", "WEBVTT\n"),
        (b"Hi", "", "Hi"),
        (b'"Hi"', "application/json", "Hi"),
    ],
)
def test_transcripts_of_text(forms: ServiceForms, body: bytes, content_type: str, text: str) -> None:
    assert forms.parse_transcript(body, content_type).text == text


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b"{}", "application/json", "no transcript"),
        (b"[]", "application/json", "no transcript"),
        (b"<html>", "text/html", "text/html"),
        (b"", "audio/wav", "audio/wav"),
        (b"\xff", "text/plain", "UTF-8"),
    ],
)
def test_other_answers_are_no_transcript(forms: ServiceForms, body: bytes, content_type: str, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        forms.parse_transcript(body, content_type)


# --- any JSON anywhere ------------------------------------------------------------------------------------------------

NAMES = (
    *("data", "embedding", "index", "b64_json", "url", "text", "segments", "words", "usage", "audio_data"),
    *("embeddings", "values", "candidates", "content", "parts", "inlineData", "mimeType", "prompt_eval_count"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("dialect", ["openai_chat", "gemini", "ollama"])
@given(JSON)
def test_any_json_is_read_or_refused_in_our_words(dialect: str, value: object) -> None:
    forms = services_for(dialect)
    assert forms is not None
    body = json.dumps(value).encode()
    for parse in (
        lambda: forms.parse_embeddings(body),
        lambda: forms.parse_images(body),
        lambda: forms.parse_speech(body, {}),
        lambda: forms.parse_transcript(body, "application/json"),
    ):
        with contextlib.suppress(DecodeError, UnsupportedFeatureError):
            parse()
