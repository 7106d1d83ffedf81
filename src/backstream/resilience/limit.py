"""Limits of one route on this side: how many answers run at once, how many begin in a minute. Adapts to its answers."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import median

from backstream.errors import BackstreamError, RateLimitError, TotalTimeout
from backstream.providers.result import BlockSource
from backstream.reply import Block, End, has_content
from backstream.resilience.pace import Pace
from backstream.resilience.route import Ask, Route

__all__ = ["HeldSource", "Limit", "Window"]

_SAMPLES = 32
_ENOUGH_SAMPLES = 8
_NEVER_SLOW_SECONDS = 0.1


class Slot:
    """The right to one running answer; given back once, from any thread."""

    __slots__ = ("_loop", "_window", "began_at")

    def __init__(self, window: Window) -> None:
        self._window: Window | None = window
        self._loop = asyncio.get_running_loop()
        self.began_at = self._loop.time()

    @property
    def is_held(self) -> bool:
        """Whether it was not given back."""
        return self._window is not None

    def give_back(self) -> None:
        """Give it back; harmless when repeated."""
        window, self._window = self._window, None
        if window is not None:
            window.release()

    def give_back_soon(self) -> None:
        """Give it back from another thread, or from the garbage collector."""
        try:
            self._loop.call_soon_threadsafe(self.give_back)
        except RuntimeError:  # the loop was closed, so nothing of it runs any more
            self.give_back()


class _Turn:
    """The place of one call in the queue."""

    __slots__ = ("_loop", "_ready", "granted")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self.granted = False

    async def comes(self) -> None:
        await self._ready.wait()

    def grant(self) -> bool:
        """Give it a slot, from any thread; tell whether somebody may still take it."""
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop was closed: nobody waits there any more
            return False
        self.granted = True
        return True


class Window:
    """The answers of one route that run, and those that wait to begin, first come, first served.

    How many may run adapts: a 429 halves it, a first content that took twice as long as usual takes a tenth away, and
    as many good answers as may run add one, up to what was set. Each window of answers lowers it once at most.

    Attributes:
        running: How many run now.
        pace: When requests began.
    """

    __slots__ = ("_allowed", "_good", "_lock", "_lowered_at", "_most", "_seconds", "_waiting", "pace", "running")

    def __init__(self) -> None:
        self.running = 0
        self.pace = Pace()
        self._allowed: float | None = None
        self._most: int | None = None
        self._good = 0
        self._lowered_at = float("-inf")
        self._seconds: deque[float] = deque(maxlen=_SAMPLES)
        self._waiting: deque[_Turn] = deque()
        self._lock = threading.RLock()  # event loops of several threads may share a route

    @property
    def allowed(self) -> int | None:
        """How many may run now; ``None`` for any number."""
        return None if self._most is None else max(1, int(min(self._allowed or self._most, self._most)))

    async def acquire(self, most: int | None) -> Slot:
        """Wait for a slot.

        Args:
            most: How many may run at once; ``None`` for any number.
        """
        with self._lock:
            self._most = most
            allowed = self.allowed
            if allowed is None or (self.running < allowed and not self._waiting):
                self.running += 1
                return Slot(self)
            turn = _Turn()
            self._waiting.append(turn)
        try:
            await turn.comes()
        except BaseException:  # a caller that leaves must not keep its place, or a slot it was just given
            with self._lock:
                if turn.granted:
                    self.release()
                elif turn in self._waiting:
                    self._waiting.remove(turn)
            raise
        return Slot(self)

    def release(self) -> None:
        """Give a slot to whoever waits longest."""
        with self._lock:
            self.running -= 1
            self._wake()

    def _wake(self) -> None:
        allowed = self.allowed
        while self._waiting and (allowed is None or self.running < allowed):
            self.running += self._waiting.popleft().grant()

    def note_refusal(self, began_at: float, now: float) -> None:
        """Note a 429 of a call that began at a time."""
        self._lower(0.5, began_at, now)

    def note_content(self, began_at: float, now: float) -> None:
        """Note the first content of a call that began at a time."""
        seconds = now - began_at
        with self._lock:
            slow = len(self._seconds) >= _ENOUGH_SAMPLES and seconds > max(
                2 * median(self._seconds), _NEVER_SLOW_SECONDS
            )
            self._seconds.append(seconds)
            if slow:
                self._lower(0.9, began_at, now)
                return
            self._good += 1
            if self._most is not None and self._allowed is not None and self._good >= self._allowed:
                self._good = 0
                self._allowed = min(self._allowed + 1, self._most)
                self._wake()

    def _lower(self, factor: float, began_at: float, now: float) -> None:
        with self._lock:
            if self._most is None or began_at < self._lowered_at:
                return
            self._allowed = max(1.0, min(self._allowed or self._most, self._most) * factor)
            self._lowered_at = now
            self._good = 0


class HeldSource:
    """An answer that holds a slot until it is over, closed or collected.

    Args:
        source: The answer.
        slot: Its slot.
        window: What is told when its first content comes.
        route: The name of the route it is from.
    """

    __slots__ = ("_slot", "_source", "_window", "route")

    def __init__(self, source: BlockSource, slot: Slot, window: Window, route: str) -> None:
        self._source = source
        self._slot = slot
        self._window: Window | None = window
        self.route = route

    def __getattr__(self, name: str) -> object:
        """Give what the answer tells beside its blocks."""
        return getattr(self._source, name)

    async def read_block(self) -> Block:
        """Return the next block."""
        try:
            block = await self._source.read_block()
        except BackstreamError as error:
            self._end(error)
            raise
        if self._window is not None and has_content(block):
            self._window.note_content(self._slot.began_at, asyncio.get_running_loop().time())
            self._window = None
        if block and type(end := block[-1]) is End:
            self._end(end.error)
        return block

    def _end(self, error: BackstreamError | None) -> None:
        if self._window is not None and isinstance(error, RateLimitError):
            self._window.note_refusal(self._slot.began_at, asyncio.get_running_loop().time())
        self._window = None
        self._slot.give_back()

    def abort(self) -> None:
        """Close the connection now, from any thread."""
        self._source.abort()
        self._slot.give_back_soon()

    async def aclose(self) -> None:
        """Close the connection."""
        try:
            await self._source.aclose()
        finally:
            self._slot.give_back()

    def __del__(self) -> None:
        if self._slot.is_held:
            self._slot.give_back_soon()


class Limit:
    """Asks a route when it is this call's turn; a :class:`backstream.resilience.route.Route`.

    Args:
        route: The route, from ``Deadline`` inwards.
        window: What runs on it, common to all calls.
        max_concurrent: How many answers may run at once; ``None`` for any number.
        requests_per_minute: How many requests may begin in a minute; ``None`` for any number.
        sleep: Waits some seconds.
    """

    def __init__(
        self,
        route: Route,
        window: Window,
        *,
        max_concurrent: int | None = None,
        requests_per_minute: int | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.route = route
        self.name = route.name
        self._window = window
        self._most = max_concurrent
        self._per_minute = requests_per_minute
        self._sleep = sleep

    @property
    def takes_prefix(self) -> bool:
        """Whether the route takes the begin of an answer."""
        return self.route.takes_prefix

    async def open(self, ask: Ask) -> BlockSource:
        """Wait for this call's turn, and ask.

        Raises:
            RateLimitError: Its turn would come after the call is over, or is left for the next route.
            TotalTimeout: The call was over before an answer before it was.
            BackstreamError: It was asked, and failed.
        """
        if self._per_minute is not None:
            await self._wait_for_pace(self._per_minute, ask)
        slot = await self._wait_for_slot(ask)
        try:
            source = await self.route.open(ask)
        except BaseException as error:  # also a cancelled call must not keep its slot
            if isinstance(error, RateLimitError):
                self._window.note_refusal(slot.began_at, asyncio.get_running_loop().time())
            slot.give_back()
            raise
        return HeldSource(source, slot, self._window, self.name)

    async def _wait_for_pace(self, per_minute: int, ask: Ask) -> None:
        pace = self._window.pace
        now = asyncio.get_running_loop().time()
        at = pace.next_at(per_minute, now)
        ends = [end for end in (ask.ends_at, ask.leaves_at) if end is not None]
        if at > now and ends and at >= min(ends):
            raise _too_many(self.name, per_minute, at - now)
        pace.take(at)
        if at > now:
            try:
                await self._sleep(at - now)
            except BaseException:  # a caller that leaves takes no place
                pace.give_back(at)
                raise

    async def _wait_for_slot(self, ask: Ask) -> Slot:
        if self._most is None or ask.ends_at is None:
            return await self._window.acquire(self._most)
        scope = asyncio.timeout_at(ask.ends_at)
        try:
            async with scope:
                return await self._window.acquire(self._most)
        except TimeoutError:
            raise TotalTimeout(ask.total_seconds or 0.0, phase="connect", request_sent=False) from None


def _too_many(name: str, per_minute: int, left: float) -> RateLimitError:
    error = RateLimitError(
        f"route {name} may begin {per_minute} requests a minute on this side; the next one in {left:.0f} s",
        retry_after_seconds=left,
        phase="connect",
    )
    error.request_sent = False
    return error
