"""What the transport's tests share: answers as bytes, certificates, and an audit of what stays open."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import AsyncIterator

import pytest_asyncio

from backstream.transport.pool import aclose_pools


def ok(body: bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """An answer framed by its length."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def head(*fields: str, status: str = "200 OK") -> bytes:
    """The head of an answer, framed by nothing but the given fields."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1")


CHUNKED = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _sockets() -> set[str]:
    """The TCP sockets this process has open; a loop's own pipes and socket pairs do not count."""
    if not sys.platform.startswith("linux"):
        return set()
    opened = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
            if not target.startswith("socket:["):
                continue
            looked_at = socket.socket(fileno=int(name))
        except OSError:
            continue
        # asked of each, as the kernel's table also has those of all others, and of those closed a minute ago
        if looked_at.family in (socket.AF_INET, socket.AF_INET6) and looked_at.type == socket.SOCK_STREAM:
            opened.add(f"{name}:{target}")
        looked_at.detach()
    return opened


async def settle() -> None:
    """Let callbacks that are due run."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket open; idle pooled connections are closed first."""
    tasks, sockets = asyncio.all_tasks(), _sockets()
    yield
    await aclose_pools()
    for attempt in range(100):
        if attempt % 25 == 0:
            gc.collect()
        await settle()
        left = {task for task in asyncio.all_tasks() - tasks if task is not asyncio.current_task()}
        opened = _sockets() - sockets
        if not left and not opened:
            return
        await asyncio.sleep(0.01)
    assert not left, f"tasks left: {left}"
    assert not opened, f"sockets left: {opened}"
