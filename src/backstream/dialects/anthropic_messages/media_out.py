"""Generated media for clients of an API whose answers are text: markup that shows them, as chat programs write it."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from backstream.chunks import Media

__all__ = ["MediaText"]


class MediaText:
    """Gathers the pieces of one medium, and gives the text that stands for it."""

    __slots__ = ("_data", "_part", "_text", "_type")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._data: list[str] = []
        self._type = ""
        self._part: int | None = None

    def add(self, chunk: Media) -> None:
        """Take a medium, or a piece of one."""
        if self._data and (chunk.part != self._part or chunk.media_type is not None):
            self._end()
        self._part = chunk.part
        self._type = chunk.media_type or self._type
        if chunk.transcript:
            self._text.append(chunk.transcript)
        if chunk.url:
            self._text.append(_markup(self._type, chunk.url))
        if chunk.data:
            self._data.append(chunk.data)

    def take(self) -> str:
        """Return the text of what was gathered; ``""`` where there is nothing."""
        self._end()
        text, self._text, self._type = "".join(self._text), [], ""
        return text

    def _end(self) -> None:
        if self._data:
            data, self._data = self._data, []
            try:
                whole = data[0] if len(data) == 1 else _join(data)
            except ValueError:  # no base64
                return
            self._text.append(_markup(self._type, f"data:{self._type or 'application/octet-stream'};base64,{whole}"))


def _join(pieces: list[str]) -> str:
    return b2a_base64(b"".join(map(a2b_base64, pieces)), newline=False).decode("ascii")


def _markup(media_type: str, url: str) -> str:
    kind = media_type.partition("/")[0] or "media"
    return f"\n![{kind}]({url})\n" if kind in ("image", "media") else f"\n[{kind}]({url})\n"
