"""A back-end, and a client, in a thread of their own that go in step with what is measured, over real sockets.

The next packet is sent when the one before has been taken, so that each is one read, on any machine under any load.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["BackEnd", "GatewayClient", "content_event", "in_thread"]

SECONDS = 60
"""A guard against hanging, not a measure."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CHAT = (
    b'data: {"id":"chatcmpl-7h2K","object":"chat.completion.chunk","created":1763800000,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)
CLAUDE_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"%06d on , and so forth, word by word "}}\n\n'
)
FRAMES: dict[str, tuple[bytes, bytes]] = {
    # dialect: what goes before the events, and behind them
    "openai_chat": (
        CHAT % (b'{"role":"assistant","content":""}', b"null"),
        CHAT % (b"{}", b'"stop"') + b"data: [DONE]\n\n",
    ),
    "anthropic_messages": (
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message",'
            b'"role":"assistant","model":"bench","content":[],"stop_reason":null,"stop_sequence":null,'
            b'"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
            b'"content_block":{"type":"text","text":""}}\n\n'
        ),
        (
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
            b'event: message_delta\ndata: {"type":"message_delta",'
            b'"delta":{"stop_reason":"end_turn","stop_sequence":null},'
            b'"usage":{"output_tokens":100}}\n\n'
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        ),
    ),
}


def content_event(number: int, dialect: str = "openai_chat") -> bytes:
    """One event of about 180 bytes."""
    if dialect == "anthropic_messages":
        return CLAUDE_DELTA % number
    return CHAT % (b'{"content":"%06d on "}' % number, b"null")


def chunk(data: bytes) -> bytes:
    """Frame one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class BackEnd:
    """Answers one request with packets of events, each sent when :attr:`taken` says so.

    Args:
        events: How many.
        packet: How many in a packet.
        dialect: What it speaks.

    Attributes:
        taken: Puts something in for each packet that was taken.
    """

    def __init__(self, events: int, packet: int = 1, dialect: str = "openai_chat") -> None:
        self.events, self.packet, self.dialect = events, packet, dialect
        self.taken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(SECONDS)
        self.port: int = self._listening.getsockname()[1]

    def packets(self) -> Iterator[bytes]:
        """What it sends, one after the other: the events, and in the last one also what ends the answer."""
        before, behind = FRAMES[self.dialect]
        for first in range(0, self.events, self.packet):
            numbers = range(first, min(first + self.packet, self.events))
            data = b"".join(content_event(number, self.dialect) for number in numbers)
            yield (HEAD + chunk(before) if first == 0 else b"") + chunk(data)
        yield chunk(behind) + b"0\r\n\r\n"

    def serve(self) -> None:
        """Answer one request."""
        with self._listening, self._listening.accept()[0] as connection:
            connection.settimeout(SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            read_request(connection)
            for packet in self.packets():
                connection.sendall(packet)
                self.taken.get(timeout=SECONDS)


class GatewayClient:
    """Asks a gateway once, and tells its back-end whenever a packet has come through.

    Args:
        port: The gateway's.
        request: What is asked, as it goes over the wire.
        back_end: Who is told.
    """

    def __init__(self, port: int, request: bytes, back_end: BackEnd) -> None:
        self._port, self._request, self._back_end = port, request, back_end
        self.received = bytearray()

    def ask(self) -> None:
        """Ask, and receive until the gateway closes."""
        seen = 0
        with socket.create_connection(("127.0.0.1", self._port), SECONDS) as connection:
            connection.sendall(self._request)
            while data := connection.recv(1 << 20):
                self.received += data
                seen += data.count(b" on ")
                while seen >= self._back_end.packet:
                    seen -= self._back_end.packet
                    self._back_end.taken.put(None)
        self._back_end.taken.put(None)


def read_request(connection: socket.socket) -> None:
    """Read one request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while len(body) < size:
        body += connection.recv(65536)


@contextlib.contextmanager
def in_thread(*works: Callable[[], None]) -> Iterator[None]:
    """Do works in threads of their own, and wait for them at the end."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # told where it is waited for
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(SECONDS)
    if failures:
        raise failures[0]
