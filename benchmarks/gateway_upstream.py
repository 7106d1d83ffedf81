"""The back-end behind the measured gateways: one process, which speaks as OpenAI's and as Anthropic's servers do.

The last message of a request says what is wanted, ``load:EVENTS,PACKET,PAUSE_MS``, since every gateway passes that on
untouched: so many events, so many in a packet, a packet every so many milliseconds; a negative pause means that the
stream stays open, silent, behind its first packet. Every event carries its number and the moment of its sending, on
the machine's monotonic clock, which is one for all processes. Prints its port, and serves until its input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httptools

_WANTED = re.compile(rb"load:(\d+),(\d+),(-?\d+)")
_STREAMED = re.compile(rb'"stream":\s*true')
_USAGE_WANTED = re.compile(rb'"include_usage":\s*true')
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_COUNTS = b'"usage":{"prompt_tokens":9,"completion_tokens":100,"total_tokens":109}'
_CHAT = (
    b'data: {"id":"chatcmpl-7h2K","object":"chat.completion.chunk","created":1763800000,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)
_DELTA = b'{"content":"%06d@%012d on "}'
_CLAUDE_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"%06d@%012d and so on and on, word by word "}}\n\n'
)
_CLAUDE_BEFORE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01Bench","type":"message",'
    b'"role":"assistant","model":"bench","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
_CLAUDE_BEHIND = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":100}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_TEXT = b"The quick brown fox jumps over the lazy dog. " * 40
_WHOLE = (
    b'{"id":"chatcmpl-7h2K","object":"chat.completion","created":1763800000,"model":"bench","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}],%b}' % (_TEXT, _COUNTS)
)
_CLAUDE_WHOLE = (
    b'{"id":"msg_01Bench","type":"message","role":"assistant","model":"bench","content":[{"type":"text","text":"%b"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":100}}' % _TEXT
)


def microseconds() -> int:
    """The machine's monotonic clock."""
    return time.monotonic_ns() // 1000


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.url, self.body = b"", b""
        self.timer: asyncio.TimerHandle | None = None
        self.paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.pause == 0 and self.sent < self.events:
            self.tick()

    def on_url(self, url: bytes) -> None:
        self.url, self.body = url, b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        wanted = _WANTED.search(self.body)
        self.claude = self.url.endswith(b"/messages")
        if wanted is None:
            self.transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        elif _STREAMED.search(self.body) is None:
            whole = _CLAUDE_WHOLE if self.claude else _WHOLE
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole)
            self.transport.write(head + whole)
        else:
            self.events, self.packet, milliseconds = map(int, wanted.groups())
            self.pause, self.sent, self.started = milliseconds / 1000, 0, self.loop.time()
            before = _CLAUDE_BEFORE if self.claude else _CHAT % (b'{"role":"assistant","content":""}', b"null")
            self.transport.write(_HEAD + _chunk(before))
            self.tick()

    def tick(self) -> None:
        """Send the packets that are due, and come back for the next."""
        while self.sent < self.events and not self.paused:
            numbers = range(self.sent, min(self.sent + self.packet, self.events))
            self.transport.write(_chunk(b"".join(map(self.event, numbers))))
            self.sent = numbers.stop
            if self.pause < 0:
                return
            if self.pause:
                break
        if self.sent < self.events:
            if self.pause:
                due = self.started + self.sent / self.packet * self.pause
                self.timer = self.loop.call_at(due, self.tick)
            return
        self.transport.write(_chunk(self.behind()) + b"0\r\n\r\n")

    def event(self, number: int) -> bytes:
        if self.claude:
            return _CLAUDE_DELTA % (number, microseconds())
        return _CHAT % (_DELTA % (number, microseconds()), b"null")

    def behind(self) -> bytes:
        if self.claude:
            return _CLAUDE_BEHIND
        usage = b""
        if _USAGE_WANTED.search(self.body):
            usage = b'data: {"id":"chatcmpl-7h2K","object":"chat.completion.chunk","created":1763800000,'
            usage += b'"model":"bench","choices":[],%b}\n\n' % _COUNTS
        return _CHAT % (b"{}", b'"stop"') + usage + b"data: [DONE]\n\n"


async def serve() -> None:
    """Serve on a free loopback port until standard input closes."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Run the upstream in a process of its own, and give its port."""
    command = [sys.executable, "-m", "benchmarks.gateway_upstream"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())
