"""Sound in the form of OpenAI's API: the answers to speech, and transcripts both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.dialects.base import RenderedRequest
from backstream.dialects.services.base import Members, counted, decode_as, decode_base64, sniff_as
from backstream.errors import DecodeError, InvalidRequestError
from backstream.services import Passage, Speech, Transcript
from backstream.wire.form import FormFile, render_form
from backstream.wire.http import media_type
from backstream.wire.json_body import encode_body

__all__ = ["COUNTS", "read_speech", "read_transcript", "render_file_form", "sound_type"]

COUNTS: Final[Mapping[str, Sequence[str]]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
}
"""Both pairs of names: those of the images and audio routes, and those of embeddings."""

_FORMATS: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_WITH_PARAMETERS: Final = frozenset({"audio/pcm", "audio/l16"})


# --- speech -----------------------------------------------------------------------------------------------------------


def sound_type(content_type: str, head: bytes, members: Members) -> str | None:
    """See :meth:`backstream.dialects.services.base.ServiceForms.speech_type`."""
    said = media_type(content_type)
    if said == "application/json":
        return None
    if said.startswith("audio/"):
        return content_type.strip() if said in _WITH_PARAMETERS else said
    # OpenAI's specification: application/octet-stream, whatever the format
    if said in ("", "application/octet-stream", "binary/octet-stream"):
        return _asked_type(members) or sniff_as("audio", head) or "application/octet-stream"
    raise DecodeError(f"the answer is {said}, no sound")


def _asked_type(members: Members) -> str | None:
    wanted = members.get("response_format")
    return _FORMATS.get(wanted) if isinstance(wanted, str) else None


class _Sound(msgspec.Struct):
    audio_data: str


def read_speech(body: bytes, members: Members) -> Speech:
    """Read an answer of JSON with the sound in it.

    Source: https://docs.mistral.ai/studio/audio/text-to-speech/generate-speech
    """
    sound = decode_as(body, _Sound, "speech")
    data = decode_base64(sound.audio_data, "a sound")
    return Speech(
        data=data, media_type=_asked_type(members) or sniff_as("audio", data[:4096]) or "application/octet-stream"
    )


# --- transcripts ------------------------------------------------------------------------------------------------------


def render_file_form(path: str, members: Members, files: Sequence[FormFile], boundary: str) -> RenderedRequest:
    """Render a request that is a form.

    Args:
        path: Where it goes.
        members: Its fields: a list becomes fields with ``[]`` behind their name, an object its JSON; ``None`` is left
            out.
        files: Its files.
        boundary: What stands between its parts.

    Raises:
        InvalidRequestError: A field that neither text nor JSON can say.
    """
    fields: list[tuple[str, str]] = []
    for name, value in members.items():
        if isinstance(value, list | tuple):
            listed = name if name.endswith("[]") else f"{name}[]"
            fields += [(listed, _field(item)) for item in value]
        elif value is not None:
            fields.append((name, _field(value)))
    return RenderedRequest(
        path=path,
        body=render_form(fields, files, boundary),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )


def _field(value: object) -> str:
    if isinstance(value, str):
        return value
    pieces = encode_body(value)
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0].decode("utf-8")
    raise InvalidRequestError("a field of the form holds a file", "pass it as media")


class _Answer(msgspec.Struct):
    text: str
    language: str | None = None
    duration: float | str | None = None
    segments: list[dict[str, Any]] | None = None
    words: list[dict[str, Any]] | None = None
    model: str | None = None
    usage: Any = None


def read_transcript(dialect: str, body: bytes, content_type: str) -> Transcript:
    """Read a transcript: an object of the ``json``, ``verbose_json`` or ``diarized_json`` format, or bare text.

    Args:
        dialect: Whose form its usage is.
        body: The answer.
        content_type: What it calls itself.

    Raises:
        DecodeError: It is none.
    """
    said = media_type(content_type)
    if said != "application/json":
        if (said and not said.startswith(("text/", "application/x-subrip"))) or said == "text/html":
            raise DecodeError(f"the answer is {said}, no transcript")
        return Transcript(text=_text(body))
    # some servers answer the text format with a JSON string
    answer = decode_as(body, _Answer | str, "transcript of OpenAI's form")  # type: ignore[arg-type]
    if isinstance(answer, str):
        return Transcript(text=answer)
    return Transcript(
        text=answer.text,
        language=answer.language,
        duration_seconds=_seconds(answer.duration),
        segments=tuple(_passage(each, "text") for each in answer.segments or ()),
        words=tuple(_passage(each, "word") for each in answer.words or ()),
        model=answer.model,
        usage=counted(dialect, answer.usage, COUNTS, answer.model),
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise DecodeError("the transcript is no UTF-8 text")


def _passage(each: Mapping[str, Any], name: str) -> Passage:
    text, speaker = each.get(name), each.get("speaker")
    return Passage(
        text=text if isinstance(text, str) else "",
        start_seconds=_seconds(each.get("start")),
        end_seconds=_seconds(each.get("end")),
        speaker=speaker if isinstance(speaker, str) else None,
        raw=each,
    )


def _seconds(value: object) -> float | None:
    """Read a number; some servers write it as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
