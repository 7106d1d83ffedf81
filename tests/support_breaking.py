"""Back-ends that break off after so many words, and back-ends that go on in every way there is; on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, Self

from backstream.options import CallOptions, Deadlines
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.result import BlockSource
from backstream.providers.rows_shape import Row
from backstream.providers.sources import source_of
from backstream.request import Request, TextPart, Turn
from backstream.resilience.continuation import with_begin
from backstream.resilience.route import Ask

__all__ = ["TEXT", "WORDS", "BackEnd", "BackEndRoute", "Fault", "GoesOn", "breaking", "going_on", "pieces_of"]

TEXT = (
    "The river rises in the hills, and the hills are the reason that it rises: rain falls on the stones, the "
    "stones hold it, then let it go. In spring the river is loud; in summer it is not. The people of "
    "the valley say that a river never forgets the way down, and that the way down is all."
)
WORDS = TEXT.split(" ")
assert len(WORDS) == 60

Fault = Literal["cut", "reset", "stall", "damage", "none"]
GoesOn = Literal["goes on", "trims", "refuses", "begins anew", "repeats five", "repeats ten"]
Answer = tuple[int, Sequence[str], Fault]


def pieces_of(text: str) -> list[str]:
    """A text word by word, as models stream it: white space stands before a word."""
    words = text.split(" ")
    return [word if not index else " " + word for index, word in enumerate(words)] if text else []


def going_on(how: GoesOn) -> Callable[[str | None], Answer]:
    """What a back-end says, given the begin of the answer or none."""

    def answer(prefix: str | None) -> Answer:
        if prefix is None:
            return 200, pieces_of(TEXT), "none"
        assert TEXT.startswith(prefix)
        assert prefix == prefix.rstrip()
        rest = TEXT[len(prefix) :]
        said = {
            "goes on": rest,
            "trims": rest.lstrip(),
            "begins anew": TEXT,
            "repeats five": " ".join(prefix.split(" ")[-5:]) + rest,
            "repeats ten": " " + " ".join(prefix.split(" ")[-10:]) + rest,
        }
        return (400, [], "none") if how == "refuses" else (200, pieces_of(said[how]), "none")

    return answer


def breaking(words: int, fault: Fault) -> Callable[[str | None], Answer]:
    """A back-end that breaks after some words."""
    return lambda _: (200, pieces_of(TEXT)[:words], fault)


class BackEnd:
    """A server of one dialect.

    Attributes:
        prefixes: The begin of the answer in each request; ``None`` where there was none.
        open: How many connections are open.
    """

    def __init__(self, dialect: str, answer: Callable[[str | None], Answer]) -> None:
        self._dialect = dialect
        self._answer = answer
        self.prefixes: list[str | None] = []
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def closed(self) -> None:
        """Wait until the client has closed every connection."""
        async with asyncio.timeout(10):
            while self.open:
                await asyncio.sleep(0.001)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        last = json.loads(await reader.readexactly(length))["messages"][-1]
        prefix = _text_of(last["content"]) if last["role"] == "assistant" else None
        self.prefixes.append(prefix)
        status, pieces, fault = self._answer(prefix)
        if status != 200:
            body = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no prefill"}})
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            return True
        kind = "application/x-ndjson" if self._dialect == "ollama" else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        begin, end = _AROUND[self._dialect]
        frames = [*begin, *(_word(self._dialect, piece) for piece in pieces)]
        writer.writelines([_chunk(frame) for frame in frames])
        await writer.drain()
        return await self._end(fault, end, reader, writer)

    async def _end(
        self, fault: Fault, end: Sequence[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if fault == "none":
            for frame in end:
                _write(writer, frame)
            writer.write(b"0\r\n\r\n")
            return True
        if fault == "damage":
            _write(writer, b'{"message": {"content"\n' if self._dialect == "ollama" else b'data: {"choices": [{\n\n')
        elif fault == "reset":
            await asyncio.sleep(0.01)  # what was sent is lost where a reset overtakes it
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif fault == "cut":
            return False
        while await reader.read(65536):  # until the client leaves
            pass
        return False


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(_chunk(frame))


def _chunk(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _event(members: dict[str, Any], name: str = "") -> bytes:
    return f"{f'event: {name}' + chr(10) if name else ''}data: {json.dumps(members)}\n\n".encode()


def _named(kind: str, **members: Any) -> bytes:
    return _event({"type": kind, **members}, kind)


@cache
def _word(dialect: str, text: str) -> bytes:
    if dialect == "ollama":
        return (
            json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, "done": False}).encode()
            + b"\n"
        )
    if dialect == "anthropic_messages":
        return _named("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    return _event({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]})


_MESSAGE = {"id": "1", "type": "message", "role": "assistant", "content": [], "model": "m", "stop_reason": None}
_AROUND: dict[str, tuple[Sequence[bytes], Sequence[bytes]]] = {
    "openai_chat": (
        [_event({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})],
        [_event({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), b"data: [DONE]\n\n"],
    ),
    "anthropic_messages": (
        [
            _named("message_start", message={**_MESSAGE, "usage": {"input_tokens": 3, "output_tokens": 1}}),
            _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ],
        [
            _named("content_block_stop", index=0),
            _named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
            _named("message_stop"),
        ],
    ),
    "ollama": (
        [],
        [json.dumps({"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop"}).encode() + b"\n"],
    ),
}


class BackEndRoute:
    """A back-end as a route, as whoever knows providers makes one; with clocks of its own."""

    def __init__(self, name: str, back_end: BackEnd, dialect: str, *, takes_prefix: bool, seconds: float = 20) -> None:
        self.name = f"{name}/m"
        self.takes_prefix = takes_prefix
        self._options = CallOptions(deadlines=Deadlines(first_content=seconds, between_content=seconds))
        self._provider = DialectProvider(
            Row(name=name, label=name, url=back_end.url, dialect=dialect, documentation="here", key_needed=False)
        )

    async def open(self, ask: Ask) -> BlockSource:
        request = Request(
            model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),), stream=True, max_tokens=9
        )
        begun = with_begin(request, ask.prefix if self.takes_prefix else "")
        return await source_of(self._provider.answer(begun, options=self._options))
