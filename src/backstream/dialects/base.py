"""The contract of a dialect: how one kind of back-end is spoken to, as pure functions and stateful parsers."""

from __future__ import annotations

from typing import Protocol

from backstream.reply import Block

__all__ = ["StreamParser"]


class StreamParser(Protocol):
    """Turns the body of one streamed answer into blocks of chunks."""

    def feed(self, data: bytes) -> Block:
        """Take what has arrived; give every chunk it completes.

        An error the back-end reports is no chunk: it comes as an ``End`` with that error, behind the chunks before it,
        and nothing follows it.

        Raises:
            TooLargeError: A line or an event is over its cap.
            DecodeError: An event is not JSON.
        """
        ...

    def finish(self, *, framed: bool) -> Block:
        """Say how the stream ended, the body being over; the last item is an ``End``.

        Args:
            framed: Whether HTTP framed the body to its end (last chunk, or ``Content-Length`` reached).
        """
        ...
