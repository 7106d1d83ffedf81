"""A client's request in this protocol, as a typed request.

Its further members are meant for whichever provider answers, and so are nobody's own: the request's ``dialect`` is
``""``. ``provider`` and ``api_key`` are for the server, which reads them itself; they are not in the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.dialects.backend_api.media_parts import parse_entry
from backstream.errors import InvalidRequestError
from backstream.request import MediaPart, Request, Turn
from backstream.request.call import parse_call

__all__ = ["parse_request"]

_APART: Final = frozenset({"model", "messages", "media", "provider", "api_key", "stream"})


def parse_request(members: Mapping[str, Any]) -> Request:
    """See :meth:`backstream.dialects.base.Dialect.parse_request`."""
    model, media = members.get("model"), members.get("media") or ()
    if not isinstance(model, str | None):
        raise InvalidRequestError(f"model is a {type(model).__name__}", "use text")
    if isinstance(media, str | Mapping) or not isinstance(media, Sequence):
        raise InvalidRequestError(f"media is a {type(media).__name__}", "use a list")
    further = {name: value for name, value in members.items() if name not in _APART}
    request = parse_call(model or "", members.get("messages", ()), (), further)
    parts = tuple(parse_entry(entry, f"media[{index}]") for index, entry in enumerate(media))
    stream = members.get("stream") is not False
    return msgspec.structs.replace(request, turns=_join_media(request.turns, parts), stream=stream)


def _join_media(turns: tuple[Turn, ...], media: tuple[MediaPart, ...]) -> tuple[Turn, ...]:
    """Join media to the last turn of the user; to a turn of their own where there is none."""
    if not media:
        return turns
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role == "user":
            whole = msgspec.structs.replace(turns[index], parts=(*turns[index].parts, *media))
            return (*turns[:index], whole, *turns[index + 1 :])
    return (*turns, Turn(role="user", parts=media))
