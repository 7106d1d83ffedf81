"""One turn of a conversation in any dialect: the client's request to a provider, the answer back in that dialect."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from typing import Final

import msgspec

from backstream.chunks import Media, RawResponse, Start, Switched
from backstream.dialects.base import Dialect, Envelope, StreamRenderer
from backstream.dialects.relay import FrameRelay
from backstream.errors import BackstreamError, IncompleteStream, InvalidRequestError, RefusedError, UnavailableError
from backstream.reply import Block, End, end_after, join_deltas
from backstream.request import Request
from backstream.server.asgi import Field, send_plain
from backstream.server.backends import BackEnd
from backstream.server.dialect_bodies import LARGE_BYTES, read_members
from backstream.server.gated import GatedAnswer
from backstream.server.keeping import Keeping, KeptAnswer
from backstream.server.media_count import check_media_count
from backstream.server.presence import ClientWatch
from backstream.server.refusals import ClientGone
from backstream.server.routing import Exchange, Handler
from backstream.server.stream_out import Outlet
from backstream.server.wishes import parse_wishes

__all__ = ["NO_RETRY", "answer", "answer_in", "refuse_in"]

NO_RETRY: Final[Field] = (b"x-should-retry", b"false")
"""Says that asking again does not help. Source: OpenAI's and Anthropic's SDKs: they ask again after a 503 else."""
_MANY_CHUNKS: Final = 1000  # take about a millisecond to render


def answer_in(dialect: Dialect) -> Handler:
    """Make the handler that answers conversations in a dialect."""

    async def handle(exchange: Exchange) -> None:
        async with exchange.admission.admit(exchange):  # before the body: what is refused is not received
            members = await read_members(exchange)
            if exchange.body_bytes > LARGE_BYTES:
                request = await asyncio.to_thread(dialect.parse_request, members, exchange.request.path)
            else:  # a thread costs more than most requests
                request = dialect.parse_request(members, exchange.request.path)
            await answer(exchange, dialect, request)

    return handle


async def answer(exchange: Exchange, dialect: Dialect, request: Request, keeping: Keeping | None = None) -> None:
    """Answer a request, streamed or whole.

    Args:
        exchange: The request.
        dialect: The client's.
        request: What is asked.
        keeping: What keeps the answer, in the dialect that has such.

    Raises:
        ClientGone: The client went away; by then the provider is closed.
        InvalidRequestError: It says nothing.
        BackstreamError: Nothing has been sent, and this is why.
    """
    record = exchange.record
    record.stream = request.stream
    if not request.turns and request.previous_response_id is None:
        raise InvalidRequestError("the request has no messages", "send at least one")
    exchange.wishes = parse_wishes(exchange.request)
    exchange.admission.check_members(exchange, request.extra)
    check_media_count(request, exchange.settings.limits)
    async with ClientWatch(exchange.receive) as watch:
        back_end = await exchange.back_ends.find(request.model)
        back_end.wishes = exchange.wishes
        _note_who(exchange, back_end)
        back_end.check_key(functools.partial(exchange.admission.check_model, exchange), request.model)
        envelope = Envelope(
            id=record.id, model=request.model or back_end.model, created=int(time.time()), request=request
        )
        if keeping is None:
            gated = GatedAnswer(back_end, request, dialect, exchange.ask())
        else:
            envelope = msgspec.structs.replace(envelope, id=keeping.id, request=keeping.request)
            gated = KeptAnswer(keeping, back_end, await keeping.asked_of(back_end), envelope, exchange.ask())
        try:
            if request.stream:
                await _stream(exchange, dialect, envelope, gated, watch)
            else:
                await _answer_whole(exchange, dialect, envelope, gated)
        finally:
            _note_who(exchange, back_end)  # of a routing list it is known only now
            await gated.aclose()


def _note_who(exchange: Exchange, back_end: BackEnd) -> None:
    exchange.record.note_back_end(back_end.name, back_end.model, known=back_end.is_known)
    exchange.routed_as = exchange.record.route_list = back_end.route


async def _answer_whole(exchange: Exchange, dialect: Dialect, envelope: Envelope, gated: GatedAnswer) -> None:
    await gated.wait()
    chunks: list[RawResponse] = []
    loose = 0
    while True:
        block = await gated.read_block()
        exchange.record.note_block(block)
        end = block.pop() if block and isinstance(block[-1], End) else None
        chunks += block  # type: ignore[arg-type] # the only End was taken off
        loose += len(block)
        if loose > 10_000:
            chunks, loose = join_deltas(chunks), 0
        if isinstance(end, End):
            break
    if end.state != "complete":
        raise end.error or IncompleteStream("the answer was cut off")
    if exchange.record.switches:
        chunks = _named_by_last(chunks)
    whole: Block = [*chunks]
    whole.append(end)
    if len(chunks) > _MANY_CHUNKS or any(isinstance(chunk, Media) for chunk in chunks):
        body = await asyncio.to_thread(dialect.render_reply, whole, envelope)
    else:
        body = dialect.render_reply(whole, envelope)
    exchange.record.status = 200
    await send_plain(exchange.send, 200, body, _fields(exchange, "application/json"))


def _named_by_last(chunks: list[RawResponse]) -> list[RawResponse]:
    """Return a whole answer that names the model which gave its end: by its own word, or as the one that was asked."""
    model = None
    for chunk in chunks:
        if isinstance(chunk, Switched):
            model = chunk.to or model
        elif isinstance(chunk, Start):
            model = chunk.model or model
    return [msgspec.structs.replace(chunk, model=model) if isinstance(chunk, Start) else chunk for chunk in chunks]


async def _stream(
    exchange: Exchange, dialect: Dialect, envelope: Envelope, gated: GatedAnswer, watch: ClientWatch
) -> None:
    renderer = dialect.stream_renderer(envelope)
    pause = exchange.settings.keepalive_seconds if renderer.keep_alive else None
    outlet = Outlet(exchange.send, pause, renderer.keep_alive, exchange.push)

    def push(block: Block) -> bool:
        data = _render(block, renderer, gated.relay)
        exchange.record.note_block(block)
        return not data or outlet.push(data)

    fields = _fields(exchange, renderer.content_type)
    waiting = asyncio.ensure_future(gated.wait())
    try:
        block = await _pass_gate(exchange, waiting, outlet, fields, renderer.keep_alive)
        while True:
            end = block[-1] if block else None
            data = _render(block, renderer, gated.relay)
            if watch.gone:
                raise ClientGone
            if exchange.interruption.error is not None:  # the provider went on nevertheless
                raise asyncio.CancelledError
            exchange.record.note_block(block)
            if isinstance(end, End):
                _note_end(exchange, end)
                watch.finishing()
                await outlet.write(data, last=True)
                return
            if data:
                await outlet.write(data)
            if outlet.can_push:  # what comes is passed on in the callback that brings it, without waking this task
                await gated.pump(push)
            block = await gated.read_block()
    except (asyncio.CancelledError, Exception):  # a provider may turn the one into the other
        stopped = exchange.interruption.take() if outlet.is_open and not watch.gone else None
        if stopped is None:
            raise
        waiting.cancel()
        await asyncio.wait([waiting])
        await gated.aclose()
        end = End("incomplete", ("the server stops",), stopped)
        _note_end(exchange, end)
        watch.finishing()
        await outlet.write(_render([end], renderer, gated.relay), last=True)
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])
        await outlet.aclose()


async def _pass_gate(
    exchange: Exchange, waiting: asyncio.Task[None], outlet: Outlet, fields: list[Field], keep_alive: bytes
) -> Block:
    """Wait for the gate; begin the answer when it opens, or when it has taken too long to say nothing."""
    done, _ = await asyncio.wait([waiting], timeout=exchange.settings.gate_seconds)
    if done:
        waiting.result()  # what failed so early is a status
        exchange.record.status = 200
        await outlet.open(fields, b"")
        return []
    exchange.record.status = 200
    await outlet.open(fields, keep_alive)
    try:
        await waiting
    except BackstreamError as error:
        return [end_after(error, received=False)]
    return []


def _render(block: Block, renderer: StreamRenderer, relay: FrameRelay | None) -> bytes:
    """Return what the client gets: the provider's own frames where they can be passed on, and else ours.

    What went wrong is said in our words either way.
    """
    if relay is None:
        return renderer.render(block)
    end = block[-1] if block else None
    failed = isinstance(end, End) and end.state != "complete"
    return relay.take() + renderer.render([end]) if failed and end is not None else relay.take()


def _note_end(exchange: Exchange, end: End) -> None:
    if end.state != "complete":
        error = end.error or IncompleteStream("the answer was cut off")
        exchange.record.note_failure(error, "incomplete" if end.state == "incomplete" else None)


def _fields(exchange: Exchange, content_type: str) -> list[Field]:
    fields = [
        (b"content-type", content_type.encode()),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", exchange.record.id.encode()),
    ]
    return [*fields, (b"x-backstream-route", exchange.routed_as.encode())] if exchange.routed_as else fields


def refuse_in(dialect: Dialect, error: BackstreamError) -> tuple[int, bytes, list[Field]]:
    """Write a refusal in a dialect: status, body, header fields."""
    status, body = dialect.render_error(error)
    fields: list[Field] = [(b"content-type", b"application/json")]
    if isinstance(error, RefusedError) and error.retry_after_seconds is not None:
        fields.append((b"retry-after", str(max(math.ceil(error.retry_after_seconds), 1)).encode()))
    if isinstance(error, UnavailableError) and not error.retryable:
        fields.append(NO_RETRY)
    return status, body, fields
