"""Routes for tests of what makes calls survive: each plays a script for every time it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from backstream.chunks import Content, RawResponse
from backstream.reply import Block, End
from backstream.resilience.route import Ask

COMPLETE = End("complete", ("finish",))


def says(*words: str, end: End | None = COMPLETE) -> list[Block | BaseException | asyncio.Event]:
    """The script of an answer: a block for each word, then its end."""
    blocks: list[Block | BaseException | asyncio.Event] = [[Content(content=word)] for word in words]
    return [*blocks, [end]] if end is not None else blocks


class PlayedSource:
    """An answer by a script: blocks, errors, and events to wait for."""

    def __init__(self, script: Sequence[Block | BaseException | asyncio.Event]) -> None:
        self._script = list(script)
        self.closed = 0
        self.aborted = 0
        self.service = "told beside"

    async def read_block(self) -> Block:
        step = self._script.pop(0) if self._script else asyncio.Event()
        if isinstance(step, asyncio.Event):
            await step.wait()
            return await self.read_block()
        if isinstance(step, BaseException):
            raise step
        await asyncio.sleep(0)
        return list(step)

    def abort(self) -> None:
        self.aborted += 1

    async def aclose(self) -> None:
        self.closed += 1


class PlayedRoute:
    """A route by scripts: the first one for the first attempt and so on, the last one for all further ones.

    A script is the error that ``open`` raises, an event that it waits for first (then the next script is played at
    once), or what a :class:`PlayedSource` plays.
    """

    def __init__(
        self, name: str, *scripts: BaseException | asyncio.Event | Sequence[Block | BaseException | asyncio.Event]
    ) -> None:
        self.name = name
        self.takes_prefix = name.endswith("prefix")
        self._scripts = list(scripts)
        self.asks: list[Ask] = []
        self.sources: list[PlayedSource] = []
        self.left = 0

    async def open(self, ask: Ask) -> PlayedSource:
        self.asks.append(ask)
        return await self._play()

    async def _play(self) -> PlayedSource:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if isinstance(script, asyncio.Event):
            try:
                await script.wait()
            except BaseException:
                self.left += 1
                raise
            return await self._play()
        if isinstance(script, BaseException):
            raise script
        self.sources.append(PlayedSource(script))
        return self.sources[-1]


def never() -> asyncio.Event:
    """What makes a route silent."""
    return asyncio.Event()


async def read(source: object) -> list[RawResponse]:
    """Read an answer to its end, and close it."""
    chunks: list[RawResponse] = []
    try:
        while True:
            block: Block = await source.read_block()  # type: ignore[attr-defined]
            chunks += [item for item in block if isinstance(item, RawResponse)]
            if block and isinstance(end := block[-1], End):
                if end.error is not None:
                    raise end.error
                return chunks
    finally:
        await source.aclose()  # type: ignore[attr-defined]


async def text_of(source: object) -> str:
    """Read an answer's text."""
    return "".join(str(chunk) for chunk in await read(source))


class Sleeps:
    """Stands for ``asyncio.sleep``: notes how long it was asked for, and returns at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
