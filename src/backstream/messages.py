"""What a caller says: the messages of a conversation, as the back-ends' JSON has them. Pure values and checks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from backstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from PIL.Image import Image

    from backstream.media.item import MediaItem

__all__ = ["ImageType", "MediaListType", "Message", "Messages", "check_messages"]

Message: TypeAlias = Mapping[str, Any]
"""One message: ``role`` (system, developer, user, assistant, tool) and ``content`` (text, ``None``, or parts)."""

Messages: TypeAlias = Sequence[Message]
"""A conversation, oldest message first."""

ImageType: TypeAlias = "str | bytes | bytearray | memoryview | os.PathLike[str] | IO[bytes] | Image | MediaItem"
"""One media item: a path object, bytes, a binary file, a Pillow image, a ``data:`` URI, an http(s) URL, or an item that
a server received and hands on.

A plain string that is neither URI nor URL is refused: write ``Path(name)`` to send a file.
"""

MediaListType: TypeAlias = "Sequence[ImageType | tuple[ImageType, str | None] | list[Any]] | None"
"""The media of a call: items, bare or paired with a file name."""


def check_messages(messages: Messages) -> None:
    """Check that ``messages`` has the shape of a conversation; its content is left to the back-end.

    Raises:
        InvalidRequestError: Not a sequence of mappings with a string ``role`` each.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise InvalidRequestError(
            f"messages is a {type(messages).__name__}", 'pass a list such as [{"role": "user", "content": "Hi"}]'
        )
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidRequestError(f"messages[{index}] is a {type(message).__name__}", "pass a dict")
        if not isinstance(message.get("role"), str):
            raise InvalidRequestError(f"messages[{index}] has no role", 'add "role": "user"')
        if not isinstance(message.get("content"), str | list | tuple | None):
            raise InvalidRequestError(f"messages[{index}] has content of another type", "use text or a list of parts")
