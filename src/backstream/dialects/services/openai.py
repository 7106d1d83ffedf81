"""The services in the form of OpenAI's API, as most back-ends speak it: embeddings and pictures; sound is beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from backstream.dialects.base import RenderedRequest
from backstream.dialects.services.base import (
    Members,
    ServiceForms,
    TextInput,
    counted,
    decode_as,
    image_part,
    unpack_vector,
)
from backstream.dialects.services.openai_sound import (
    COUNTS,
    read_speech,
    read_transcript,
    render_file_form,
    sound_type,
)
from backstream.errors import DecodeError, UnsupportedFeatureError
from backstream.media import MediaItem, extension_of
from backstream.request.parts import MediaPart
from backstream.services import Embeddings, Images, Speech, Transcript
from backstream.wire.form import FileSegment, FormFile
from backstream.wire.json_body import encode_body

__all__ = ["OpenAIServices"]

_GENERATIONS: Final = "/generations"


class _Vector(msgspec.Struct):
    embedding: str | tuple[float, ...]
    index: int | None = None


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: Any = None


class _Picture(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _Pictures(msgspec.Struct):
    data: list[_Picture]
    output_format: str | None = None
    model: str | None = None
    usage: Any = None


class OpenAIServices(ServiceForms, frozen=True):
    """Embeddings, pictures, speech and transcripts as OpenAI's API has them.

    Source: https://platform.openai.com/docs/api-reference (Embeddings, Images, Audio); what other vendors of the same
    form say otherwise stands where it is read.
    """

    # --- embeddings ---

    def render_embeddings(self, path: str, model: str, texts: TextInput, members: Members) -> RenderedRequest:
        """Render ``{model, input}``; vectors are asked for in base64, a quarter of the size, unless said otherwise."""
        tree = {"model": model, "input": texts, "encoding_format": "base64", **members}
        return RenderedRequest(path=path, body=encode_body(tree))

    def parse_embeddings(self, body: bytes) -> Embeddings:
        """Parse the vectors, base64 or lists, and put them into the order of the texts."""
        answer = decode_as(body, _Vectors, "embeddings of OpenAI's form")
        indexes = [each.index for each in answer.data]
        if sorted(index for index in indexes if index is not None) == list(range(len(indexes))):
            answer.data.sort(key=lambda each: each.index or 0)
        return Embeddings(
            vectors=tuple(
                unpack_vector(each.embedding) if isinstance(each.embedding, str) else each.embedding
                for each in answer.data
            ),
            model=answer.model,
            usage=counted(self.name, answer.usage, COUNTS, answer.model),
        )

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
        """Render ``{model, prompt}``; with pictures to change, a form, sent to ``…/edits``."""
        if not items and mask is None:
            return RenderedRequest(path=path, body=encode_body({"model": model, "prompt": prompt, **members}))
        if not path.endswith(_GENERATIONS):
            raise UnsupportedFeatureError(
                "images: nothing says where this back-end changes pictures", "leave media out"
            )
        name = "image" if len(items) == 1 else "image[]"
        files = [self._file(name, item, index) for index, item in enumerate(items)]
        if mask is not None:
            files.append(self._file("mask", mask, len(files)))
        path = path.removesuffix(_GENERATIONS) + "/edits"
        return render_file_form(path, {"model": model, "prompt": prompt, **members}, files, boundary)

    def _file(self, name: str, item: MediaItem, index: int) -> FormFile:
        if item.url is not None:
            raise UnsupportedFeatureError(
                f"media[{index}]: a picture to change cannot be a URL", "send the file itself"
            )
        filename = item.filename or f"image-{index}" + (extension_of(item.media_type) or "")
        return FormFile(name=name, filename=filename, content_type=item.media_type, content=FileSegment(item))

    def parse_images(self, body: bytes) -> Images:
        """Parse the pictures, each by base64 or URL."""
        answer = decode_as(body, _Pictures, "pictures of OpenAI's form")
        kind = f"image/{answer.output_format}" if answer.output_format else ""
        return Images(
            images=tuple(_picture(each, kind) for each in answer.data),
            revised_prompts=tuple(each.revised_prompt for each in answer.data),
            model=answer.model,
            usage=counted(self.name, answer.usage, COUNTS, answer.model),
        )

    # --- sound ---

    def render_speech(self, path: str, model: str, text: str, voice: Any, members: Members) -> RenderedRequest:
        """Render ``{model, input, voice}``."""
        chosen = {} if voice is None else {"voice": voice}
        return RenderedRequest(path=path, body=encode_body({"model": model, "input": text, **chosen, **members}))

    def speech_type(self, content_type: str, head: bytes, members: Members) -> str | None:
        """Return what the answer calls itself, or was asked to be, or looks like; ``None`` for JSON."""
        return sound_type(content_type, head, members)

    def parse_speech(self, body: bytes, members: Members) -> Speech:
        """Parse an answer of JSON with the sound in it, as Mistral gives it."""
        return read_speech(body, members)

    def render_transcription(
        self, path: str, model: str, audio: MediaItem | None, members: Members, *, boundary: str
    ) -> RenderedRequest:
        """Render a form with the file and the parameters; lists become fields with ``[]`` behind their name."""
        files: list[FormFile] = []
        if audio is not None:
            if audio.url is not None:
                raise UnsupportedFeatureError(
                    "audio: a sound to transcribe cannot be a URL",
                    "send the file itself, or audio=None and the back-end's own parameter (url=, file_url=)",
                )
            filename = audio.filename or "audio" + (extension_of(audio.media_type) or "")
            content = FileSegment(audio)
            files = [FormFile(name="file", filename=filename, content_type=audio.media_type, content=content)]
        return render_file_form(path, {"model": model, **members}, files, boundary)

    def parse_transcript(self, body: bytes, content_type: str) -> Transcript:
        """Parse JSON of any of its forms, or text."""
        return read_transcript(self.name, body, content_type)


def _picture(each: _Picture, kind: str) -> MediaPart:
    if each.b64_json is not None:
        return image_part(each.b64_json, kind)
    if each.url is None:
        raise DecodeError("the answer holds a picture without data or URL")
    head, comma, data = each.url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return image_part(data, head[5:-7].partition(";")[0])
    return MediaPart(kind="image", url=each.url)
