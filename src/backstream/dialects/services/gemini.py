"""Gemini's own services: embeddings; pictures and speech, which are answers of its models in another modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from backstream.dialects.base import RenderedRequest
from backstream.dialects.services.base import (
    Members,
    ServiceForms,
    TextInput,
    counted,
    decode_as,
    decode_base64,
    image_part,
    text_inputs,
)
from backstream.dialects.services.pcm import render_wav, sample_form
from backstream.errors import ContentRefusedError, DecodeError, ProviderError, UnsupportedFeatureError
from backstream.media import MediaItem
from backstream.services import Embeddings, Images, Speech
from backstream.wire.json_body import encode_body, json_base64

__all__ = ["GeminiServices"]

_COUNTS: Final[Mapping[str, Sequence[str]]] = {
    "input_tokens": ("promptTokenCount",),
    "output_tokens": ("candidatesTokenCount",),
    "total_tokens": ("totalTokenCount",),
    "reasoning_tokens": ("thoughtsTokenCount",),
}
_REFUSALS: Final = frozenset(
    (
        *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    )
)
"""Ends that are a policy's.

Source: https://ai.google.dev/api/generate-content#FinishReason
"""


class _Vector(msgspec.Struct):
    values: tuple[float, ...]


class _Vectors(msgspec.Struct, rename="camel"):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usage_metadata: Any = None


class _Data(msgspec.Struct, rename="camel"):
    mime_type: str
    data: str


class _Part(msgspec.Struct, rename="camel"):
    inline_data: _Data | None = None
    thought: bool | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    model_version: str | None = None
    usage_metadata: Any = None


class GeminiServices(ServiceForms, frozen=True):
    """Embeddings, pictures and speech as Google's Gemini API has them; the row's path is what stands before the model.

    Source: https://ai.google.dev/api/embeddings, https://ai.google.dev/gemini-api/docs/image-generation and
    https://ai.google.dev/gemini-api/docs/speech-generation
    """

    # --- embeddings ---

    def render_embeddings(self, path: str, model: str, texts: TextInput, members: Members) -> RenderedRequest:
        """Render one request for a text, and one batch for several; ``dimensions`` becomes ``outputDimensionality``."""
        settings = {_EMBEDDING_NAMES.get(name, name): value for name, value in members.items()}
        resource = f"models/{_bare(model)}"
        requests = [
            {"model": resource, "content": {"parts": [{"text": text}]}, **settings}
            for text in text_inputs(self.name, texts)
        ]
        if isinstance(texts, str):
            return RenderedRequest(path=_method(path, model, "embedContent"), body=encode_body(requests[0]))
        return RenderedRequest(
            path=_method(path, model, "batchEmbedContents"), body=encode_body({"requests": requests})
        )

    def parse_embeddings(self, body: bytes) -> Embeddings:
        """Parse the vectors of either answer."""
        answer = decode_as(body, _Vectors, "embeddings of Gemini's form")
        found = answer.embeddings
        if found is None:
            if answer.embedding is None:
                raise DecodeError("the answer holds no embeddings")
            found = [answer.embedding]
        usage = counted(self.name, answer.usage_metadata, _COUNTS)
        return Embeddings(vectors=tuple(each.values for each in found), usage=usage)

    # --- pictures ---

    def render_images(
        self,
        path: str,
        model: str,
        prompt: str,
        members: Members,
        *,
        items: Sequence[MediaItem] = (),
        mask: MediaItem | None = None,
        boundary: str = "",
    ) -> RenderedRequest:
        """Render a request for an answer with pictures; ``n`` is ``candidateCount``, ``response_format`` nothing."""
        if mask is not None:
            raise UnsupportedFeatureError("gemini takes no mask", "say in the prompt what to change")
        parts: list[Any] = [{"text": prompt}, *(_inline(item, index) for index, item in enumerate(items))]
        rest = dict(members)
        count = rest.pop("n", None)
        rest.pop("response_format", None)  # it gives data always
        config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
        if count is not None:
            config["candidateCount"] = count
        return self._generate(path, model, parts, config, rest)

    def parse_images(self, body: bytes) -> Images:
        """Parse the pictures of every candidate; those of the model's thoughts are left out."""
        answer = decode_as(body, _Answer, "answer of Gemini's form")
        found = tuple(image_part(each.data, each.mime_type) for each in _inline_data(answer, "image/"))
        if not found:
            raise _nothing(answer, "picture", body)
        return Images(
            images=found,
            revised_prompts=(None,) * len(found),
            model=answer.model_version,
            usage=counted(self.name, answer.usage_metadata, _COUNTS, answer.model_version),
        )

    # --- speech ---

    def render_speech(self, path: str, model: str, text: str, voice: Any, members: Members) -> RenderedRequest:
        """Render a request for an answer that is sound; ``response_format`` is kept here, for :meth:`parse_speech`."""
        rest = dict(members)
        wanted = rest.pop("response_format", None)
        if wanted not in (None, "wav", "pcm"):
            raise UnsupportedFeatureError("gemini gives speech as wav or pcm only", 'use response_format="wav"')
        config: dict[str, Any] = {"responseModalities": ["AUDIO"]}
        if voice is not None:
            named = {"prebuiltVoiceConfig": {"voiceName": voice}} if isinstance(voice, str) else voice
            config["speechConfig"] = {"voiceConfig": named}
        return self._generate(path, model, [{"text": text}], config, rest)

    def speech_type(self, content_type: str, head: bytes, members: Members) -> str | None:
        """Return ``None``: the sound is inside JSON."""
        return None

    def parse_speech(self, body: bytes, members: Members) -> Speech:
        """Parse the sound; bare samples get the header of a WAV file, unless ``pcm`` was asked for."""
        answer = decode_as(body, _Answer, "answer of Gemini's form")
        pieces = list(_inline_data(answer, "audio/"))
        if not pieces:
            raise _nothing(answer, "sound", body)
        data = b"".join(decode_base64(piece.data, "a sound") for piece in pieces)
        kind = pieces[0].mime_type
        form = sample_form(kind)
        if form is not None and members.get("response_format") != "pcm":
            data, kind = render_wav(data, *form), "audio/wav"
        usage = counted(self.name, answer.usage_metadata, _COUNTS, answer.model_version)
        return Speech(data=data, media_type=kind, model=answer.model_version, usage=usage)

    def _generate(
        self, path: str, model: str, parts: list[Any], config: Mapping[str, Any], members: Members
    ) -> RenderedRequest:
        own = members.get("generationConfig")
        tree = {
            "contents": [{"role": "user", "parts": parts}],
            **members,
            "generationConfig": {**config, **(own if isinstance(own, Mapping) else {})},
        }
        return RenderedRequest(path=_method(path, model, "generateContent"), body=encode_body(tree))


_EMBEDDING_NAMES: Final = {"dimensions": "outputDimensionality"}


def _bare(model: str) -> str:
    return model.removeprefix("models/")


def _method(path: str, model: str, method: str) -> str:
    return f"{path}/{quote(_bare(model), safe='')}:{method}"


def _inline(item: MediaItem, index: int) -> dict[str, Any]:
    if item.url is not None:
        raise UnsupportedFeatureError(f"media[{index}]: a picture to change cannot be a URL", "send the file itself")
    return {"inlineData": {"mimeType": item.media_type, "data": json_base64(item)}}


def _inline_data(answer: _Answer, kind: str) -> list[_Data]:
    return [
        part.inline_data
        for candidate in answer.candidates or ()
        if candidate.content is not None
        for part in candidate.content.parts or ()
        if part.inline_data is not None and not part.thought and part.inline_data.mime_type.lower().startswith(kind)
    ]


def _nothing(answer: _Answer, what: str, body: bytes) -> ProviderError:
    """Make the error for an answer without what was asked for: a policy's refusal, where it says so."""
    ends = [candidate.finish_reason for candidate in answer.candidates or ()]
    blocked = answer.prompt_feedback.block_reason if answer.prompt_feedback is not None else None
    refused = blocked or next((end for end in ends if end in _REFUSALS), None)
    if refused:
        return ContentRefusedError(f"the back-end gave no {what}", kind=refused, body=body[: 64 * 1024])
    said = next((f" (it ended with {end[:40]})" for end in ends if end), "")
    return DecodeError(f"the answer holds no {what}{said}")
