"""Every fault is tried on asyncio's own loop and, where it is installed, on uvloop; nothing may stay open after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from support_transport import no_leaks

__all__ = ["no_leaks"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops on which every test here runs."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:  # there is none for this system
        return factories
    return {**factories, "uvloop": uvloop.new_event_loop}
