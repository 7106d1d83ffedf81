"""Media as content of the Responses API: images and files.

Source: https://platform.openai.com/docs/guides/images-vision and https://platform.openai.com/docs/guides/pdf-files;
OpenAI's OpenAPI description 2.3.0 (``InputImageContent``, ``InputFileContent``).
"""

from __future__ import annotations

from typing import Any

from backstream.errors import UnsupportedFeatureError
from backstream.media.names import extension_of
from backstream.request import MediaPart
from backstream.wire.json_body import json_data_uri

__all__ = ["render_media"]


def render_media(part: MediaPart, where: str) -> dict[str, Any]:
    """Render media as content of a message or of a tool's result.

    Raises:
        UnsupportedFeatureError: The back-end takes no media of this kind.
    """
    if part.kind == "image":
        return _render_image(part)
    if part.kind == "document":
        return _render_file(part)
    raise UnsupportedFeatureError(f"{where}: the Responses API takes no {part.kind}", "use chat completions for sound")


def _render_image(part: MediaPart) -> dict[str, Any]:
    image: dict[str, Any] = {"type": "input_image", "detail": part.detail or "auto"}
    if part.file_id is not None:
        return {**image, "file_id": part.file_id}
    return {**image, "image_url": _url_of(part) or _data_uri(part)}


def _render_file(part: MediaPart) -> dict[str, Any]:
    file: dict[str, Any] = {"type": "input_file"}
    if part.filename is not None:
        file["filename"] = part.filename
    if part.detail is not None:
        file["detail"] = part.detail
    url = _url_of(part)
    if part.file_id is not None:
        file["file_id"] = part.file_id
    elif url is not None:
        file["file_url"] = url
    else:
        file["file_data"] = _data_uri(part)
        file.setdefault("filename", "document" + (extension_of(part.media_type) or ""))  # demanded beside bytes
    return file


def _url_of(part: MediaPart) -> str | None:
    return part.url if part.item is None else part.item.url


def _data_uri(part: MediaPart) -> Any:
    if part.item is not None:
        return json_data_uri(part.item)
    return f"data:{part.media_type or 'application/octet-stream'};base64,{part.data or ''}"
