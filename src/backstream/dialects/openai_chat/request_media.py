"""One piece of media as a content part of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.dialects.openai_chat.quirks import Quirks
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.media import extension_of
from backstream.request import MediaPart
from backstream.wire.json_body import json_base64, json_data_uri

__all__ = ["render_media"]


def render_media(part: MediaPart, where: str, quirks: Quirks) -> dict[str, Any]:
    """Render media as a content part; what is still to be read is a segment in it.

    Args:
        part: The media.
        where: Its place, for errors.
        quirks: What the back-end takes.

    Raises:
        UnsupportedFeatureError: The back-end has no words for it.
        InvalidRequestError: It is empty.
    """
    if part.file_id is not None and part.kind != "document":
        raise UnsupportedFeatureError(
            f"{where}: chat completions take no {part.kind} by file id", "send its bytes or its URL"
        )
    if part.file_id is None and part.item is None and part.data is None and part.url is None:
        raise InvalidRequestError(f"{where}: media without bytes, URL or file id")
    return _RENDERERS[part.kind](part, where, quirks)


def _uri(part: MediaPart) -> Any:
    if part.item is not None:
        return part.item.url if part.item.url is not None else json_data_uri(part.item)
    if part.data is not None:
        return f"data:{part.media_type};base64,{part.data}"
    return part.url


def _render_image(part: MediaPart, where: str, quirks: Quirks) -> dict[str, Any]:
    del where, quirks
    image = {"url": _uri(part)}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _render_audio(part: MediaPart, where: str, quirks: Quirks) -> dict[str, Any]:
    url = part.url if part.item is None else part.item.url
    if url is not None:
        if not quirks.video:
            raise UnsupportedFeatureError(f"{where}: the back-end takes no audio by URL", "send its bytes")
        return {"type": "audio_url", "audio_url": {"url": url}}
    form = extension_of(part.media_type) or part.media_type.partition("/")[2]
    data = part.data if part.item is None else json_base64(part.item)
    return {"type": "input_audio", "input_audio": {"data": data, "format": form.removeprefix(".")}}


def _render_video(part: MediaPart, where: str, quirks: Quirks) -> dict[str, Any]:
    if not quirks.video:
        raise UnsupportedFeatureError(f"{where}: the back-end takes no video", "send single images of it")
    return {"type": "video_url", "video_url": {"url": _uri(part)}}


def _render_document(part: MediaPart, where: str, quirks: Quirks) -> dict[str, Any]:
    file: dict[str, Any] = {}
    if part.file_id is not None:
        file["file_id"] = part.file_id
    else:
        if (part.url if part.item is None else part.item.url) is not None and not quirks.document_urls:
            raise UnsupportedFeatureError(f"{where}: the back-end takes no document by URL", "send its bytes")
        file["file_data"] = _uri(part)
    if part.filename is not None:
        file["filename"] = part.filename
    elif part.file_id is None:  # OpenAI demands a name beside the bytes
        file["filename"] = "document" + (extension_of(part.media_type) or "")
    return {"type": "file", "file": file}


_RENDERERS: Final[Mapping[str, Callable[[MediaPart, str, Quirks], dict[str, Any]]]] = {
    "image": _render_image,
    "audio": _render_audio,
    "video": _render_video,
    "document": _render_document,
}
