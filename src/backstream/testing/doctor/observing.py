"""Asks, and writes down all that comes back: status, fields, bytes, framing, chunks, how it ended. Judges nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Final

from backstream.chunks import Content, Finish, RawResponse, Usage
from backstream.credentials import Secret
from backstream.errors import BackstreamError, TooLargeError, TotalTimeout
from backstream.options import Deadlines
from backstream.reply import Block, End, has_content
from backstream.request import Receipts, Request
from backstream.request.call import parse_call
from backstream.testing.doctor.target import Target
from backstream.transport.session import StreamResponse, StreamSession
from backstream.wire.http import Headers, media_type

__all__ = ["QUESTION", "Observed", "converse", "fetch", "leave_early", "make_request", "post"]

QUESTION: Final = "Count from one to thirty in words, and say nothing else."
_MOST_BYTES: Final = 64 * 1024 * 1024
_KEPT: Final = object()


@dataclasses.dataclass
class Observed:
    """One answer, as it was seen.

    Attributes:
        status: Its status; ``None`` where there was none.
        headers: Its header fields.
        framing: How HTTP told its end.
        body: Its body.
        chunks: What its dialect makes of the body.
        end: How the answer ended, by its dialect; ``None`` where it was not read as one.
        error: What broke the way to it; ``None`` where it was read to its end.
    """

    status: int | None = None
    headers: Headers = dataclasses.field(default_factory=Headers)
    framing: str = "none"
    body: bytes = b""
    chunks: list[RawResponse] = dataclasses.field(default_factory=list)
    end: End | None = None
    error: BackstreamError | None = None

    @property
    def content_type(self) -> str:
        """The bare media type; ``""`` for none."""
        return media_type(self.headers.get("content-type", ""))

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(chunk.text for chunk in self.chunks if isinstance(chunk, Content))

    @property
    def is_complete(self) -> bool:
        """Whether the answer says that it is whole, and the way to it held."""
        return self.status == 200 and self.end is not None and self.end.state == "complete"

    @property
    def usage(self) -> Usage | None:
        """The last counts of tokens."""
        return next((chunk for chunk in reversed(self.chunks) if isinstance(chunk, Usage)), None)

    @property
    def finish(self) -> Finish | None:
        """The reason of the end."""
        return next((chunk for chunk in reversed(self.chunks) if isinstance(chunk, Finish)), None)

    @property
    def trouble(self) -> str:
        """What went wrong, in words; ``""`` for nothing."""
        if self.status is not None and self.status != 200:
            return f"status {self.status}"
        failure = self.end.error if self.end is not None and self.end.error is not None else self.error
        if failure is not None:
            return f"{type(failure).__name__}: {failure}"
        return "" if self.end is None or self.end.state == "complete" else f"the answer is {self.end.state}"


def make_request(model: str, *, stream: bool, text: str = QUESTION, **parameters: Any) -> Request:
    """Make the request for one answer.

    Args:
        model: The model.
        stream: Whether its answer is to be streamed.
        text: What the user says.
        **parameters: Further parameters, by OpenAI's names.
    """
    return parse_call(model, [{"role": "user", "content": text}], (), {"stream": stream, **parameters})


async def converse(target: Target, request: Request, *, key: Any = _KEPT) -> Observed:
    """Ask for an answer and read it, as its dialect does.

    Args:
        target: Whom to ask.
        request: What to ask.
        key: In place of the target's own key.
    """
    rendered = target.dialect.render_request(request, Receipts())
    whole = not request.stream and target.dialect.name != "backend_api"
    return await _observe(
        target,
        "POST",
        rendered.path,
        whole=whole,
        answer=True,
        key=key,
        data=rendered.body,
        params=dict(rendered.query),
        headers={"Content-Type": "application/json", **rendered.headers},
    )


async def post(target: Target, path: str, body: bytes) -> Observed:
    """Post bytes as JSON; the answer is read as it is."""
    return await _observe(target, "POST", path, data=body, headers={"Content-Type": "application/json"})


async def fetch(
    target: Target, path: str, *, method: str = "GET", key: Any = _KEPT, headers: dict[str, str] | None = None
) -> Observed:
    """Ask for something else than an answer."""
    return await _observe(target, method, path, key=key, headers=headers or {})


async def leave_early(target: Target, request: Request) -> Observed:
    """Ask for a streamed answer, and close the connection at its first content."""
    rendered = target.dialect.render_request(request, Receipts())
    headers = {"Content-Type": "application/json", **rendered.headers}
    return await _observe(
        target,
        "POST",
        rendered.path,
        answer=True,
        leave=True,
        data=rendered.body,
        params=dict(rendered.query),
        headers=headers,
    )


async def _observe(
    target: Target,
    method: str,
    path: str,
    *,
    whole: bool = False,
    answer: bool = False,
    leave: bool = False,
    key: Any = _KEPT,
    headers: dict[str, str],
    **options: Any,
) -> Observed:
    seen = Observed()
    fields = {**target.auth(_key_of(target, key)), **headers}
    if answer and not whole:
        fields["Accept"] = "text/event-stream"
    # both clocks of the transport end no later than ours; the proxies of the environment are used, as elsewhere
    deadlines = Deadlines(idle=target.patience_seconds, total=target.patience_seconds)
    session = StreamSession(deadlines=deadlines)
    try:
        async with asyncio.timeout(target.patience_seconds * 2):
            async with session.request(method, target.url + path, headers=fields, **options) as response:
                seen.status, seen.headers, seen.framing = response.status, response.headers, response.framing
                await _read(target, response, seen, whole=whole, answer=answer and response.status == 200, leave=leave)
    except BackstreamError as error:
        seen.error = error
    except TimeoutError:
        seen.error = TotalTimeout(target.patience_seconds * 2, phase="body")
    if answer and seen.end is None and seen.error is not None:
        seen.end = End("incomplete" if seen.chunks else "failed", ("transport",), seen.error)
    return seen


def _key_of(target: Target, key: Any) -> Secret | None:
    found: Secret | None = target.key if key is _KEPT else key
    return found


async def _read(
    target: Target, response: StreamResponse, seen: Observed, *, whole: bool, answer: bool, leave: bool
) -> None:
    parser = target.dialect.stream_parser() if answer and not whole else None
    blocks: list[bytes] = []
    size = 0
    try:
        while block := await response.read_block():
            size += len(block)
            if size > _MOST_BYTES:
                raise TooLargeError("answer", _MOST_BYTES)
            blocks.append(block)
            if parser is None or seen.end is not None:
                continue
            said = parser.feed(block)
            if parser.done and not (said and isinstance(said[-1], End)):
                said += parser.finish(framed=False)
            _note(seen, said)
            if leave and has_content(said):
                return
    finally:
        seen.body = b"".join(blocks)
    if parser is not None and seen.end is None:
        _note(seen, parser.finish(framed=response.framing in ("chunked", "length")))
    elif answer and whole:
        _note(seen, target.dialect.parse_reply(seen.body))


def _note(seen: Observed, said: Block) -> None:
    for item in said:
        if isinstance(item, End):
            seen.end = item
        else:
            seen.chunks.append(item)
