"""Members of a request that only the dialect it came in knows, on their way to a back-end of another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from backstream.request import Receipts, Request

__all__ = ["drop_foreign"]

_HARMLESS: Final[Mapping[str, str]] = {
    "stream_options": "how the client wants its own stream",
    "prompt_cache_key": "the back-end caches by itself",
    "prompt_cache_retention": "the back-end caches by itself",
}


def drop_foreign(request: Request, receipts: Receipts, *, known: Collection[str] = ()) -> None:
    """Note each member of ``extra`` as dropped; those that change nothing of the answer, as harmless.

    Args:
        request: The request.
        receipts: Where to note it.
        known: Members that both dialects have, and that are not dropped. Default none.
    """
    for name in request.extra:
        if name in known:
            continue
        why = _HARMLESS.get(name, f"a member of {request.dialect} only")
        receipts.dropped(name, why, harmless=name in _HARMLESS)
