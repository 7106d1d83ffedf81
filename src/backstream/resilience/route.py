"""The contract of every wrapper: a route, and what an attempt on it may know. Knows nothing of how to survive."""

from __future__ import annotations

from typing import Protocol

import msgspec

from backstream.options import CallOptions
from backstream.providers.result import BlockSource

__all__ = ["Ask", "Route"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt may know of the call; messages, media and parameters stay with the innermost route.

    Attributes:
        options: The local options; the clocks in it are those of one attempt, but for ``total``.
        ends_at: When the whole call is over, by the loop's clock; ``None`` for never.
        prefix: The text of the answer that the caller has already, for a route that takes the begin of an answer.
    """

    options: CallOptions = CallOptions()
    ends_at: float | None = None
    prefix: str = ""


class Route(Protocol):
    """A provider and a model, or what wraps them.

    Attributes:
        name: ``provider/model``.
        takes_prefix: Whether it goes on with the begin of an answer, as far as that is known beforehand.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class

    @property
    def takes_prefix(self) -> bool: ...  # noqa: D102 - see the class

    async def open(self, ask: Ask) -> BlockSource:
        """Ask, and give the running answer; whoever gets it closes it.

        From ``Retry`` outwards it has content, or is over and complete.

        Raises:
            BackstreamError: It cannot be asked, refused, or failed before its first content; nothing is left open.
        """
        ...
