"""A request to a back-end, as a route that can be wrapped: asked once each time it is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from backstream.dialects.base import Dialect
from backstream.errors import BackstreamError, UnknownModelError
from backstream.options import Deadlines
from backstream.providers.result import BlockSource
from backstream.request import Request
from backstream.resilience.continuation import with_begin
from backstream.resilience.route import Ask
from backstream.server.backends import BackEnd

__all__ = ["AskedRoute", "Question"]


class Question(msgspec.Struct, frozen=True):
    """What every route of one answer is asked.

    Attributes:
        request: The request.
        client: The client's dialect, where frames may be passed on as they come.
        clocks: Tells how long each stage of an attempt may take, by the name of the provider.
    """

    request: Request
    client: Dialect | None
    clocks: Callable[[str], Deadlines]


class AskedRoute:
    """One back-end, asked one question; a :class:`backstream.resilience.route.Route`.

    Args:
        name: ``provider/model``.
        question: What it is asked.
        find: Finds the back-end.
        back_end: The back-end, where it was found already.

    Attributes:
        name: The same.
        back_end: The back-end, once it was found.
    """

    def __init__(
        self, name: str, question: Question, find: Callable[[str], Awaitable[BackEnd]], back_end: BackEnd | None = None
    ) -> None:
        self.name: Final = name
        self.back_end = back_end
        self._question = question
        self._find = find

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.back_end.name if self.back_end is not None else self.name.partition("/")[0]

    @property
    def takes_prefix(self) -> bool:
        """Whether the model is known to go on with the begin of an answer."""
        return self.back_end is not None and self.back_end.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Ask the back-end.

        Raises:
            UnknownModelError: There is none of that name, or it cannot be asked: another route may be.
            BackstreamError: It refused, or could not be reached.
        """
        back_end = self.back_end
        if back_end is None:
            try:
                back_end = self.back_end = await self._find(self.name)
            except BackstreamError as error:
                raise UnknownModelError(self.name) from error
        question, request = self._question, self._question.request
        if ask.prefix and self.takes_prefix:
            request = with_begin(request, ask.prefix)
        clocks = msgspec.structs.replace(question.clocks(self.provider), total=ask.options.deadlines.total)
        options = msgspec.structs.replace(ask.options, deadlines=clocks)
        return await back_end.open(request, question.client, options)
