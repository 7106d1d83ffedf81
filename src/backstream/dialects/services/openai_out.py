"""The services in the form of OpenAI's API as a server speaks it: what a client asks for, and the answers to it.

Source: https://platform.openai.com/docs/api-reference (Embeddings, Images, Audio).
"""

from __future__ import annotations

import binascii
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.chunks import Usage
from backstream.dialects.services.base import TextInput
from backstream.errors import InvalidRequestError
from backstream.request.parts import MediaPart
from backstream.services import Embeddings, Images, Passage, Transcript
from backstream.wire.json_text import encode_json

__all__ = [
    "parse_texts",
    "render_embeddings",
    "render_images",
    "render_transcript",
]

_TEXT_FORMS: Final = frozenset({"text", "srt", "vtt"})


def parse_texts(value: object, where: str = "input") -> TextInput:
    """Read what is to be embedded: a text or a list of texts, or tokens, or a list of lists of tokens.

    Raises:
        InvalidRequestError: It is none of these, or empty.
    """
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value:
        if all(isinstance(item, str) and item for item in value):
            return value
        if _are_tokens(value):
            return [int(item) for item in value]
        if all(isinstance(item, list) and item and _are_tokens(item) for item in value):
            return [[int(token) for token in item] for item in value]
    raise InvalidRequestError(
        f"{where} is neither a text nor a list of texts", "send a text, or a list that is not empty"
    )


def _are_tokens(value: list[Any]) -> bool:
    """Tell whether all are whole numbers, also such as JSON may write them, ``5.0``."""
    return all(
        isinstance(item, int | float) and not isinstance(item, bool) and item >= 0 and item % 1 == 0 for item in value
    )


# --- embeddings -------------------------------------------------------------------------------------------------------


def render_embeddings(found: Embeddings, model: str, *, base64: bool) -> bytes:
    """Render vectors; counts that the form demands and the back-end did not give are 0.

    Args:
        found: The vectors.
        model: The model asked for; the answer's own wins.
        base64: Whether each is written as the base64 of its 32-bit floats, lowest byte first, instead of numbers.
    """
    data = [
        {"object": "embedding", "index": index, "embedding": _pack(vector) if base64 else vector}
        for index, vector in enumerate(found.vectors)
    ]
    counted = found.usage.input_tokens if found.usage is not None else None
    usage = {"prompt_tokens": counted or 0, "total_tokens": counted or 0}
    return encode_json({"object": "list", "data": data, "model": found.model or model, "usage": usage})


def _pack(vector: Sequence[float]) -> str:
    packed = array("f", vector)
    if sys.byteorder == "big":  # pragma: no cover - no such machine at hand
        packed.byteswap()
    return binascii.b2a_base64(packed.tobytes(), newline=False).decode()


# --- pictures ---------------------------------------------------------------------------------------------------------


def render_images(found: Images, created: int, *, as_urls: bool) -> bytes:
    """Render pictures; what the back-end gave as a URL stays one, since nothing is fetched here.

    Args:
        found: The pictures.
        created: When, in seconds since the epoch.
        as_urls: Whether the client wants URLs: bytes become ``data:`` URLs then.
    """
    prompts = [*found.revised_prompts, *[None] * len(found.images)]
    data = [_picture(image, prompt, as_urls=as_urls) for image, prompt in zip(found.images, prompts, strict=False)]
    answer: dict[str, Any] = {"created": created, "data": data}
    usage = _counts(found.usage)
    return encode_json({**answer, "usage": usage} if usage else answer)


def _picture(image: MediaPart, prompt: str | None, *, as_urls: bool) -> dict[str, str]:
    said = {"revised_prompt": prompt} if prompt else {}
    if image.data is None:
        return {"url": image.url or "", **said}
    if as_urls:
        return {"url": f"data:{image.media_type or 'image/png'};base64,{image.data}", **said}
    return {"b64_json": image.data, **said}


def _counts(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


# --- transcripts ------------------------------------------------------------------------------------------------------


def render_transcript(found: Transcript, form: str) -> tuple[str, bytes]:
    """Render a transcript.

    Args:
        found: The transcript; its text is subtitles already where those were asked for.
        form: ``json``, ``verbose_json``, ``diarized_json``, ``text``, ``srt`` or ``vtt``.

    Returns:
        The content type and the body.
    """
    if form in _TEXT_FORMS:
        return "text/plain; charset=utf-8", (found.text if found.text.endswith("\n") else f"{found.text}\n").encode()
    members: dict[str, Any] = {"text": found.text}
    if form != "json":
        members = {"task": "transcribe", **_known(language=found.language, duration=found.duration_seconds), **members}
        members |= _known(segments=_passages(found.segments, "text"), words=_passages(found.words, "word") or None)
    counts = _counts(found.usage)
    return "application/json", encode_json({**members, "usage": {"type": "tokens", **counts}} if counts else members)


def _passages(passages: Sequence[Passage], name: str) -> list[Mapping[str, Any]]:
    return [
        passage.raw
        or {
            name: passage.text,
            **_known(start=passage.start_seconds, end=passage.end_seconds, speaker=passage.speaker),
        }
        for passage in passages
    ]


def _known(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
