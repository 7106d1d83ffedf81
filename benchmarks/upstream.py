"""The scripted upstream of the benchmarks: one process of its own, so that its CPU time is nobody else's.

Speaks just enough HTTP: whatever is POSTed, the path says what to answer, ``/<mode>/…``, and the query how much of it.
Modes ``chat`` and ``giant`` answer as an OpenAI-compatible server, the latter with one event of so many ``megabytes``,
mode ``claude`` as Anthropic's; as clients append to their base URL, and some drop its query, the
second part of the path may stand for the query: ``/chat/events=20&packet=5/v1/chat/completions``.
Run as a module it prints its port on one line and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

CONTENT = "The quick brown fox jumps over the lazy dog while the stream goes on and on until it ends, word by word."


def event(number: int) -> bytes:
    """One event of about 180 bytes, as a server of 2026 frames it."""
    text = f"{number:06d} {CONTENT}"
    return b'event: content\ndata: {"type": "content", "content": "%b"}\n\n' % text.encode()


def word(number: int) -> str:
    """The text of one chat event."""
    return f"{number:06d} on "


CHAT = (
    b'data: {"id":"chatcmpl-7h2K","object":"chat.completion.chunk","created":1763800000,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)


def chat_event(number: int) -> bytes:
    """One event of about 180 bytes, as an OpenAI-compatible server writes it."""
    return CHAT % (b'{"content":"%b"}' % word(number).encode(), b"null")


CLAUDE = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"%b"},"filler":"............................"}\n\n'
)
CLAUDE_BEFORE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01Bench","type":"message",'
    b'"role":"assistant","model":"bench","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
CLAUDE_BEHIND = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":100}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def claude_event(number: int) -> bytes:
    """One event of about 180 bytes, as Anthropic's server frames it."""
    return CLAUDE % word(number).encode()


GIANT_STEP = 1 << 18
FINISH = b'event: finish\ndata: {"type": "finish", "finish": {"reason": "stop"}}\n\n'

MODES: dict[str, tuple[bytes, Callable[[int], bytes], bytes]] = {
    # mode: what goes before the events, an event, what goes behind them
    "events": (b"", event, FINISH),
    "chat": (
        CHAT % (b'{"role":"assistant","content":""}', b"null"),
        chat_event,
        CHAT % (b"{}", b'"stop"') + b"data: [DONE]\n\n",
    ),
    "claude": (CLAUDE_BEFORE, claude_event, CLAUDE_BEHIND),
}
IN_PATH = {"chat", "claude", "giant"}
"""Modes whose second part of the path stands for the query."""


def chunk(data: bytes) -> bytes:
    """Frame one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await swallow_body(head, reader)
            target = head.split(b" ", 2)[1].decode()
            path, _, query = target.partition("?")
            mode, *parts = path.strip("/").split("/")
            query = parts[0] if mode in IN_PATH else query
            wanted = {name: values[0] for name, values in urllib.parse.parse_qs(urllib.parse.unquote(query)).items()}
            await (giant(writer, wanted) if mode == "giant" else stream(writer, mode, wanted))
            if wanted.get("framing") == "close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def swallow_body(head: bytes, reader: asyncio.StreamReader) -> None:
    """Read a request body and forget it."""
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while length:
        data = await reader.read(min(length, 1 << 20))
        if not data:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(data)


async def stream(writer: asyncio.StreamWriter, mode: str, wanted: dict[str, str]) -> None:
    """Write one answer: ``events`` in packets of ``packet`` events, ``pause`` seconds apart."""
    events, packet = int(wanted.get("events", 1)), int(wanted.get("packet", 1))
    before, make, behind = MODES.get(mode, MODES["events"])
    pause, framing = float(wanted.get("pause", 0)), wanted.get("framing", "packet")
    coding = b"Connection: close\r\n" if framing == "close" else b"Transfer-Encoding: chunked\r\n"
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" + coding + b"\r\n")
    if before:
        writer.write(before if framing == "close" else chunk(before))
    for first in range(0, events, packet):
        parts = [make(number) for number in range(first, min(first + packet, events))]
        if framing == "event":
            data = b"".join(map(chunk, parts))
        else:
            data = b"".join(parts)
            data = data if framing == "close" else chunk(data)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(pause)
    writer.write(behind if framing == "close" else chunk(behind) + b"0\r\n\r\n")
    await writer.drain()


async def giant(writer: asyncio.StreamWriter, wanted: dict[str, str]) -> None:
    """Write one event that is as large as is wanted."""
    before, _, behind = MODES["chat"]
    start, end = (CHAT % (b'{"content":"^"}', b"null")).split(b"^")
    size = int(wanted["megabytes"]) * 1_000_000
    is_closing = wanted.get("framing") == "close"
    coding = b"Connection: close\r\n" if is_closing else b"Transfer-Encoding: chunked\r\n"
    frame = bytes if is_closing else chunk
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" + coding + b"\r\n")
    writer.write(frame(before + start))
    for first in range(0, size, GIANT_STEP):
        writer.write(frame(b"a" * min(GIANT_STEP, size - first)))
        await writer.drain()
    writer.write(frame(end + behind) + (b"" if is_closing else b"0\r\n\r\n"))
    await writer.drain()


async def main() -> None:
    """Serve on a free loopback port until standard input closes."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run the upstream in a process of its own, and give its port."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(main())
