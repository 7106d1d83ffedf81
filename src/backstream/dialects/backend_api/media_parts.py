"""Media in a request of this protocol: entries of the member ``media``, and parts of a message's content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstream.errors import InvalidRequestError
from backstream.media import MediaItem, extension_of, is_data_uri, media_type_of
from backstream.request import MediaPart
from backstream.request.messages import kind_of, media_from_url
from backstream.request.parts import MediaKind
from backstream.wire.json_body import json_base64, json_data_uri

__all__ = ["kind_of_entry", "parse_entry", "render_entry", "render_part"]


def _url_of(part: MediaPart) -> str | None:
    return part.url if part.item is None else part.item.url


def _data_uri(part: MediaPart) -> Any:
    if part.item is not None:
        return json_data_uri(part.item)
    return f"data:{part.media_type};base64,{part.data}"


def _kind_by_name(url: str, filename: str | None) -> MediaKind:
    """Tell what a URL shows, by a name; most media of this protocol are images."""
    found = media_type_of(filename or "") or media_type_of(url.partition("?")[0].rpartition("/")[2])
    return kind_of(found) if found else "image"


def kind_of_entry(part: MediaPart) -> MediaKind:
    """Return what a reader of the entry that stands for a part takes it for."""
    url = _url_of(part)
    return kind_of(part.media_type) if url is None else _kind_by_name(url, part.filename)


def render_entry(part: MediaPart) -> list[Any]:
    """Render an entry of ``media``: data and file name."""
    url = _url_of(part)
    return [_data_uri(part) if url is None else url, part.filename]


def parse_entry(entry: object, where: str) -> MediaPart:
    """Read an entry of ``media``: a URL, a ``data:`` URI or an item; bare, or paired with a file name.

    Raises:
        InvalidRequestError: Another shape.
        InvalidMediaError: A ``data:`` URI that is none.
    """
    pair = [entry, None] if isinstance(entry, str | MediaItem) else entry
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise InvalidRequestError(f"{where} is no pair of data and file name", "pass [data, name]")
    data, name = pair
    filename = name if isinstance(name, str) else None
    if isinstance(data, MediaItem):
        kind = kind_of(data.media_type)
        return MediaPart(kind=kind, media_type=data.media_type, item=data, filename=filename or data.filename)
    if not isinstance(data, str) or not (is_data_uri(data) or data.startswith(("http://", "https://"))):
        raise InvalidRequestError(f"{where} is neither a data: URI nor an http(s) URL")
    if is_data_uri(data):
        return media_from_url(data, filename=filename)
    return media_from_url(data, _kind_by_name(data, filename), filename=filename)


def render_part(part: MediaPart) -> dict[str, Any]:
    """Render a part of a message's content, in the shape of OpenAI's chat completions."""
    if part.kind == "document":
        return {"type": "file", "file": _render_file(part)}
    url = _url_of(part)
    if part.kind == "audio" and url is None:
        name = (extension_of(part.media_type) or "").removeprefix(".") or part.media_type.partition("/")[2]
        data = part.data if part.item is None else json_base64(part.item)
        return {"type": "input_audio", "input_audio": {"data": data, "format": name}}
    inner = {"url": _data_uri(part) if url is None else url}
    if part.detail is not None:
        inner["detail"] = part.detail
    return {"type": f"{part.kind}_url", f"{part.kind}_url": inner}


def _render_file(part: MediaPart) -> dict[str, Any]:
    name = {} if part.filename is None else {"filename": part.filename}
    if part.file_id is not None:
        return {"file_id": part.file_id, **name}
    url = _url_of(part)
    return {"file_data": _data_uri(part) if url is None else url, **name}
