"""Services as a server speaks them: what a client asks for is read, and answers are written, in three forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import InvalidRequestError, UnsupportedFeatureError, Usage
from backstream.dialects.services import gemini_out, ollama_out, openai_out, services_for
from backstream.request.parts import MediaPart
from backstream.services import Embeddings, Images, Passage, Transcript

USED = Usage(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
VECTORS = Embeddings(vectors=((0.5, -1.0), (0.25, 2.0)), model="m", usage=USED)


@pytest.mark.parametrize("texts", ["a", ["a", "b"], [1, 2], [[1], [2, 3]]])
def test_what_is_to_be_embedded(texts: Any) -> None:
    assert openai_out.parse_texts(texts) == texts


def test_tokens_that_are_written_as_fractions() -> None:
    assert str(openai_out.parse_texts([5.0, 6])) == "[5, 6]"
    assert str(openai_out.parse_texts([[5.0]])) == "[[5]]"


@pytest.mark.parametrize("texts", [None, "", [], [""], [-1], [1.5], [True], [[]], [["a"]], ["a", 1], [[1], "a"], {}, 5])
def test_what_cannot_be_embedded(texts: Any) -> None:
    with pytest.raises(InvalidRequestError, match="input is neither"):
        openai_out.parse_texts(texts)


@pytest.mark.parametrize("base64", [True, False])
def test_vectors_in_openais_form_are_read_as_they_were(base64: bool) -> None:
    forms = services_for("openai_chat")
    assert forms is not None
    found = forms.parse_embeddings(openai_out.render_embeddings(VECTORS, "asked", base64=base64))
    assert (found.vectors, found.model) == (VECTORS.vectors, "m")
    assert found.usage is not None
    assert found.usage.input_tokens == 3


def test_counts_that_the_form_demands_are_0() -> None:
    answer = json.loads(openai_out.render_embeddings(Embeddings(vectors=()), "asked", base64=False))
    assert answer == {
        "object": "list",
        "data": [],
        "model": "asked",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


@pytest.mark.parametrize(
    ("as_urls", "data"),
    [
        (False, [{"b64_json": "QUFB", "revised_prompt": "r"}, {"url": "https://a/b"}, {"b64_json": "QUFB"}]),
        (
            True,
            [
                {"url": "data:image/webp;base64,QUFB", "revised_prompt": "r"},
                {"url": "https://a/b"},
                {"url": "data:image/png;base64,QUFB"},
            ],
        ),
    ],
)
def test_pictures(as_urls: bool, data: Any) -> None:
    found = Images(
        images=(
            MediaPart(kind="image", media_type="image/webp", data="QUFB"),
            MediaPart(kind="image", url="https://a/b"),
            MediaPart(kind="image", data="QUFB"),
        ),
        revised_prompts=("r",),
    )
    assert json.loads(openai_out.render_images(found, 5, as_urls=as_urls)) == {"created": 5, "data": data}


def test_what_pictures_used() -> None:
    answer = json.loads(openai_out.render_images(Images(images=(), usage=USED), 5, as_urls=False))
    assert answer["usage"] == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    answer = json.loads(openai_out.render_images(Images(images=(), usage=Usage(usage={})), 5, as_urls=False))
    assert "usage" not in answer


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_transcript_that_is_text(form: str) -> None:
    for text in ("Hello", "Hello\n"):
        found = openai_out.render_transcript(Transcript(text=text), form)
        assert found == ("text/plain; charset=utf-8", b"Hello\n")


@pytest.mark.parametrize(
    ("form", "members"),
    [
        ("json", {"text": "Hello"}),
        (
            "verbose_json",
            {
                "task": "transcribe",
                "language": "en",
                "text": "Hello",
                "segments": [{"id": 1}],
                "words": [{"word": "Hello", "start": 0.5, "end": 1.0, "speaker": "A"}],
            },
        ),
    ],
)
def test_a_transcript_that_is_json(form: str, members: Any) -> None:
    found = Transcript(
        text="Hello",
        language="en",
        segments=(Passage(text="Hello", raw={"id": 1}),),
        words=(Passage(text="Hello", start_seconds=0.5, end_seconds=1.0, speaker="A"),),
    )
    kind, body = openai_out.render_transcript(found, form)
    assert (kind, json.loads(body)) == ("application/json", members)


# --- Ollama -----------------------------------------------------------------------------------------------------------


def test_ollamas_texts() -> None:
    assert ollama_out.parse_embed({"input": "a"}, old=False) == "a"
    assert ollama_out.parse_embed({"input": []}, old=False) == []
    assert ollama_out.parse_embed({"prompt": ""}, old=True) == ""
    for members, old in [({}, False), ({"input": [1]}, False), ({"prompt": ["a"]}, True)]:
        with pytest.raises(InvalidRequestError, match="is no text"):
            ollama_out.parse_embed(members, old=old)


def test_ollamas_vectors_are_read_as_they_were() -> None:
    forms = services_for("ollama")
    assert forms is not None
    found = forms.parse_embeddings(ollama_out.render_embeddings(VECTORS, "asked", old=False))
    assert (found.vectors, found.model) == (VECTORS.vectors, "m")
    assert found.usage is not None
    assert found.usage.input_tokens == 3
    assert forms.parse_embeddings(ollama_out.render_embeddings(VECTORS, "asked", old=True)).vectors == ((0.5, -1.0),)
    assert json.loads(ollama_out.render_embeddings(Embeddings(vectors=()), "asked", old=True)) == {"embedding": []}
    assert json.loads(ollama_out.render_embeddings(Embeddings(vectors=()), "asked", old=False)) == {
        "model": "asked",
        "embeddings": [],
    }


# --- Gemini -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", ["a", ["a", "b"]])
def test_what_our_provider_asks_of_gemini_is_read_by_our_server(texts: Any) -> None:
    forms = services_for("gemini")
    assert forms is not None
    rendered = forms.render_embeddings("/models", "m", texts, {"dimensions": 5, "taskType": "CLUSTERING"})
    members = json.loads(b"".join(rendered.body))  # type: ignore[arg-type]
    settings = {"dimensions": 5, "taskType": "CLUSTERING"}
    if isinstance(texts, str):
        assert gemini_out.parse_embed(members) == (texts, settings)
    else:
        assert gemini_out.parse_batch(members) == [(text, settings) for text in texts]
    found = forms.parse_embeddings(gemini_out.render_embeddings(VECTORS, batch=not isinstance(texts, str)))
    assert found.vectors == (VECTORS.vectors[:1] if isinstance(texts, str) else VECTORS.vectors)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({}, InvalidRequestError),
        ({"content": {"parts": []}}, InvalidRequestError),
        ({"content": {"parts": ["a"]}}, InvalidRequestError),
        ({"content": {"parts": [{}]}}, UnsupportedFeatureError),
        ({"content": {"parts": {"text": "a"}}, "outputDimensionality": True}, InvalidRequestError),
        ({"content": {"parts": {"text": "a"}}, "title": 5}, InvalidRequestError),
    ],
)
def test_what_gemini_cannot_embed(members: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        gemini_out.parse_embed(members)
    with pytest.raises(error):
        gemini_out.parse_batch({"requests": [members]})


def test_a_batch_with_differing_parameters_or_none() -> None:
    content = {"content": {"parts": {"text": "a"}}, "outputDimensionality": 5.0}
    found = gemini_out.parse_batch({"requests": [content, {**content, "title": "t"}]})
    assert found == [("a", {"dimensions": 5}), ("a", {"dimensions": 5, "title": "t"})]
    for requests in (None, [], [5]):
        with pytest.raises(InvalidRequestError):
            gemini_out.parse_batch({"requests": requests})


def test_geminis_pictures_are_data_whatever_is_asked_for() -> None:
    forms = services_for("gemini")
    assert forms is not None
    rendered = forms.render_images("/models", "m", "a cat", {"response_format": "b64_json", "n": 2})
    members = json.loads(b"".join(rendered.body))  # type: ignore[arg-type]
    assert "response_format" not in members
    assert members["generationConfig"]["candidateCount"] == 2
