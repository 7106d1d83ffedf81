"""Media that a model made, as chat completions carry them: sounds in pieces, images as URLs."""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

from backstream.chunks import Media, PartEnd, RawResponse
from backstream.dialects.openai_chat.quirks import NAME
from backstream.errors import InvalidMediaError
from backstream.media import is_data_uri, sniff
from backstream.request.messages import media_from_url

__all__ = ["read_audio", "read_image"]

_RAW_SOUND: Final = "audio/pcm"
_HEAD: Final = 256  # of base64, a multiple of four: enough to know a container by


def read_audio(audio: Mapping[str, Any], known: dict[str, Any]) -> Iterable[RawResponse]:
    """Read a piece of a sound, or a whole one.

    Its type is told by its first bytes; a sound in no container is PCM, the only form that is streamed.

    Args:
        audio: The object ``audio``.
        known: What earlier pieces said; changed here.

    Source: https://platform.openai.com/docs/guides/audio
    """
    members: dict[str, Any] = {}
    for name in ("id", "data", "transcript"):
        value = audio.get(name)
        if isinstance(value, str) and value and not (name == "id" and "id" in known):
            members[name] = value
    until = audio.get("expires_at")
    if isinstance(until, int) and not isinstance(until, bool) and 0 < until < 2**53:
        members["expires_at"] = until
    if "id" in members:
        known["id"] = members["id"]
    if "data" in members and "media_type" not in known:
        known["media_type"] = members["media_type"] = _type_of(members["data"])
    if members:
        yield Media(**members)


def _type_of(data: str) -> str:
    try:
        found = sniff(a2b_base64(data[:_HEAD]))
    except (Error, ValueError):
        found = None
    return found if found is not None and found.startswith("audio/") else _RAW_SOUND


def read_image(image: Mapping[str, Any]) -> Iterable[RawResponse]:
    """Read an image: ``{"type": "image_url", "image_url": {"url": …}}``; one that cannot be read is skipped.

    Source: https://openrouter.ai/docs/features/multimodal/image-generation
    """
    kind = image.get("type")
    member = kind if isinstance(kind, str) and kind.endswith("_url") else "image_url"
    inner = image.get(member)
    url = inner.get("url") if isinstance(inner, Mapping) else inner
    if not isinstance(url, str) or not url:
        return
    if is_data_uri(url):
        try:
            part = media_from_url(url)
        except InvalidMediaError:
            return
        yield Media(media_type=part.media_type, data=part.data)
    else:
        yield Media(url=url)
    yield PartEnd(kind="media", opaque={NAME: {"type": member}})
