"""The embedded backend: one server for each event loop that asks for it, gone with the loop.

No task of its own runs, so that the cancellation of all tasks at the end of ``asyncio.run`` finds nothing of it; no
signal is touched; nobody's logging is set up.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Final

from backstream.server.app import create_app
from backstream.server.listener import Listener, bind
from backstream.server.settings import Settings
from backstream.transport.loop_scope import on_loop_shutdown

__all__ = ["start_embedded"]

_RUNNING: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Listener]] = weakref.WeakKeyDictionary()


async def start_embedded() -> str:
    """Return the URL of the running loop's embedded backend; start it where it does not run.

    It listens on a free port of 127.0.0.1, answers with ``Echo``, needs no key, and checks ``Host`` and ``Origin``. It
    stops when the loop's asynchronous generators are shut down, as ``asyncio.run`` and ``asyncio.Runner`` do.

    Raises:
        ConfigurationError: This machine lets nobody listen on loopback.
    """
    loop = asyncio.get_running_loop()
    listener = _RUNNING.get(loop)
    if listener is None:
        # up to the assignment nothing waits, so that two callers cannot both start one
        sockets = bind("127.0.0.1", 0)
        listener = _RUNNING[loop] = Listener(create_app(settings=Settings(keys_file=None)))
        listener.adopt(sockets)
        on_loop_shutdown(_stop)
    await listener.start()
    return f"http://127.0.0.1:{listener.port}"


async def _stop() -> None:
    listener = _RUNNING.pop(asyncio.get_running_loop(), None)
    if listener is not None:
        await listener.aclose()
