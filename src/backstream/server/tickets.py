"""One request's right to an answer, from its admission to the last byte: what it holds, and what it is charged.

Knows no dialect. It looks on at what the request receives and sends, so that it ends *before* the last byte goes out: a
client that asks again at once finds its place free, whichever worker it asks.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from backstream.server.asgi import Message, Receive, Send
from backstream.server.ledger import Lease, Ledger
from backstream.server.limits import StreamLimits
from backstream.server.records import RequestRecord
from backstream.server.refusals import ClientGone
from backstream.server.tally import Tally

if TYPE_CHECKING:
    from backstream.server.routing import Exchange

__all__ = ["Ticket"]

_TELLING_SECONDS: Final = 0.25  # a last byte waits no longer for the other workers to know


class Ticket:
    """The right to one answer.

    Args:
        exchange: The request.
        streams: Where its place was taken.

    Attributes:
        asked: Whether a provider was, or is about to be, asked.
    """

    __slots__ = ("_key", "_lease", "_ledger", "_receive", "_record", "_send", "_streams", "_tally", "asked")

    def __init__(self, exchange: Exchange, streams: StreamLimits) -> None:
        self.asked = False
        self._key = exchange.key_name
        self._ledger: Ledger = exchange.ledger
        self._record: RequestRecord = exchange.record
        self._streams: StreamLimits | None = streams
        self._lease: Lease | None = None
        self._tally: Tally | None = None
        self._receive: Receive = exchange.receive
        self._send: Send = exchange.send
        exchange.send = self._pass_on

    def hold(self, lease: Lease, exchange: Exchange, *, spends: bool) -> None:
        """Keep a lease of the ledger, to be given back with what was used.

        Args:
            lease: The lease.
            exchange: The request.
            spends: Whether the answer takes tokens of a budget.
        """
        self._lease = lease
        if spends:
            is_form = exchange.request.text(b"content-type").lower().startswith("multipart/")
            self._tally = self._record.tally = Tally(is_form=is_form)
            exchange.receive = self._look_on

    async def _look_on(self) -> Message:
        message = await self._receive()
        if self._tally is not None and message["type"] == "http.request":
            self._tally.note_body(message.get("body", b""))
        return message

    async def _pass_on(self, message: Message) -> None:
        if self._streams is not None and message["type"] == "http.response.body" and not message.get("more_body"):
            is_shared = self._lease is not None and not self._lease.in_memory
            told = self.end(whole=self._record.end == "complete")
            if told is not None and is_shared:
                await asyncio.wait([asyncio.wrap_future(told)], timeout=_TELLING_SECONDS)
        await self._send(message)

    def end(self, error: BaseException | None = None, *, whole: bool = False) -> Future[None] | None:
        """Give everything back; harmless when repeated, and never waits.

        Args:
            error: What ended the request before its last byte.
            whole: Whether the answer came to its end.

        Returns:
            Done once its lease is given back; ``None`` where it had none.
        """
        if self._streams is None:
            return None
        self._streams.leave(self._key)
        self._streams = None
        if self._lease is None:
            return None
        lease, self._lease = self._lease, None
        return self._ledger.release(lease, self._charge(error, whole=whole))

    def _charge(self, error: BaseException | None, *, whole: bool) -> int:
        """Return the tokens to charge: none for what no provider was asked, or refused before a word was said."""
        usage, tally = self._record.usage, self._tally
        if tally is None or not self.asked:
            return 0
        given_up = isinstance(error, ClientGone | asyncio.CancelledError)  # the provider may have worked all the same
        if not (whole or given_up or tally.has_spoken or usage is not None):
            return 0
        return tally.tokens(usage, whole=whole)
