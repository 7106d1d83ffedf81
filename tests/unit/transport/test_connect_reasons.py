"""Why no connection could be made, in words instead of Python's."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from backstream.errors import ConnectError
from backstream.transport.connect import Route, open_connection, reason_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 9)"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('192.0.2.1', 9)"), "no route to host"),
        (OSError(errno.ENETUNREACH, "Connect call failed ('192.0.2.1', 9)"), "network unreachable"),
        (OSError(errno.ETIMEDOUT, "Connect call failed ('192.0.2.1', 9)"), "timed out"),
        (OSError(errno.ENOBUFS, "Connect call failed ('192.0.2.1', 9)"), os.strerror(errno.ENOBUFS)),
        (OSError("Multiple exceptions: no numbers"), "every address failed"),
    ],
)
def test_a_number_becomes_words(error: OSError, said: str) -> None:
    assert reason_of(error) == said


def test_several_addresses_are_told_together_and_once_each() -> None:
    failed = [errno.ECONNREFUSED, errno.ENETUNREACH, errno.ECONNREFUSED]
    joined = ", ".join(str(OSError(number, "Connect call failed ('::1', 9, 0, 0)")) for number in failed)
    assert reason_of(OSError(f"Multiple exceptions: {joined}")) == "connection refused, network unreachable"


async def test_a_refused_connection_is_told_without_python_in_it() -> None:
    with socket.socket() as bound:  # and not listening: nobody else takes the port meanwhile
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectError) as caught:
            await open_connection(asyncio.get_running_loop(), Route("127.0.0.1", port))
    assert str(caught.value) == f"no connection to 127.0.0.1 port {port}: connection refused"
