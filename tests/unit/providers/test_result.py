"""The edge of a stream: order, ends, and leaving early."""

from __future__ import annotations

import asyncio
import gc

import pytest

from backstream.chunks import Content, RawResponse
from backstream.errors import ConnectError, IncompleteStream, InvalidMediaError, MisuseError, RefusedError
from backstream.providers.result import AsyncResult
from backstream.reply import Block, End

A, B, C = (Content(content=letter) for letter in "abc")
DONE = End("complete", ("finish",))


class ScriptedSource:
    """A source that gives what it is told to, and remembers how it was left."""

    def __init__(self, *script: Block | BaseException) -> None:
        self.script = list(script)
        self.log: list[str] = []

    async def read_block(self) -> Block:
        if not self.script:
            self.log.append("waiting")
            await asyncio.Event().wait()
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    def abort(self) -> None:
        self.log.append("aborted")

    async def aclose(self) -> None:
        self.log.append("closed")


def result_of(*script: Block | BaseException) -> tuple[AsyncResult, ScriptedSource]:
    source = ScriptedSource(*script)

    async def open_source() -> ScriptedSource:
        source.log.append("opened")
        return source

    return AsyncResult(open_source), source


async def test_chunks_come_in_order_and_then_the_end() -> None:
    result, source = result_of([A], [B, C], [], [DONE])
    assert source.log == []
    assert [chunk async for chunk in result] == [A, B, C]
    assert result.end == DONE
    assert source.log[:2] == ["opened", "closed"]
    with pytest.raises(StopAsyncIteration):
        await anext(result)


async def test_it_can_be_awaited_first_and_that_does_nothing_else() -> None:
    result, source = result_of([A, DONE])
    assert await result is result
    assert source.log == []
    assert [chunk async for chunk in result] == [A]


async def test_blocks_come_as_they_arrived() -> None:
    result, _ = result_of([A], [], [B, C, DONE])
    assert [block async for block in result.blocks()] == [[A], [B, C]]


@pytest.mark.parametrize(
    ("script", "error", "state", "text"),
    [
        ([[A], [B, End("incomplete", ("closed",), IncompleteStream("cut"))]], IncompleteStream, "incomplete", "ab"),
        ([[A], IncompleteStream("cut by the network")], IncompleteStream, "incomplete", "a"),
        ([[A, End("failed", ("error",), RefusedError("no"))]], RefusedError, "failed", "a"),
        ([ConnectError("refused")], ConnectError, "failed", ""),
    ],
)
async def test_every_chunk_is_delivered_before_the_error(
    script: list[Block | BaseException], error: type[Exception], state: str, text: str
) -> None:
    result, source = result_of(*script)
    seen: list[RawResponse] = []
    with pytest.raises(error) as caught:
        async for chunk in result:
            seen.append(chunk)
    assert "".join(map(str, seen)) == text
    assert list(caught.value.received) == seen  # type: ignore[attr-defined]
    if error is IncompleteStream:
        assert caught.value.text == text  # type: ignore[attr-defined]
    assert result.end is not None
    assert result.end.state == state
    assert "closed" in source.log
    assert [chunk async for chunk in result] == []


async def test_a_callers_error_while_opening() -> None:
    async def open_source() -> ScriptedSource:
        raise InvalidMediaError("missing", index=0)

    result = AsyncResult(open_source)
    with pytest.raises(InvalidMediaError):
        await anext(result)
    assert result.end is not None
    assert result.end.state == "failed"


async def test_break_closes_at_once_where_nothing_holds_the_iterator() -> None:
    def start() -> AsyncResult:
        result, sources[0] = result_of([A, B])
        return result

    sources: list[ScriptedSource] = [ScriptedSource()]
    async for _ in start():
        break
    assert sources[0].log == ["opened", "aborted"]


async def test_aclose_and_async_with_close() -> None:
    result, source = result_of([A, B])
    async with result as entered:
        assert entered is result
        assert await anext(result) == A
    assert source.log == ["opened", "closed"]
    assert result.end == End("cancelled")
    assert [chunk async for chunk in result] == []
    await result.aclose()


async def test_one_never_started_opens_nothing() -> None:
    result, source = result_of([A])
    await result.aclose()
    assert [chunk async for chunk in result] == []
    del result
    gc.collect()
    assert source.log == []


async def test_cancelling_the_reader_closes() -> None:
    result, source = result_of([A])
    assert await anext(result) == A
    task = asyncio.ensure_future(anext(result))
    while "waiting" not in source.log:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.log == ["opened", "waiting", "aborted"]
    assert result.end == End("cancelled")
    with pytest.raises(StopAsyncIteration):
        await anext(result)


async def test_whatever_else_goes_wrong_closes_too() -> None:
    result, source = result_of([A], KeyError("of a callback"))
    assert await anext(result) == A
    with pytest.raises(KeyError):
        await anext(result)
    assert source.log == ["opened", "aborted"]


async def test_a_block_that_arrives_as_the_answer_is_left_is_not_delivered() -> None:
    result, source = result_of()

    async def read_block() -> Block:
        await result.aclose()
        return [A, DONE]

    source.read_block = read_block  # type: ignore[method-assign]
    assert [chunk async for chunk in result] == []
    assert result.end == End("cancelled")
    assert "aborted" in source.log


async def test_two_readers_at_once_are_a_misuse() -> None:
    result, source = result_of()
    task = asyncio.ensure_future(anext(result))
    while "waiting" not in source.log:
        await asyncio.sleep(0)
    with pytest.raises(MisuseError):
        await anext(result)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_its_repr_tells_its_state() -> None:
    result, _ = result_of([A], [DONE])
    assert repr(result) == "<AsyncResult not started>"
    await anext(result)
    assert repr(result) == "<AsyncResult running>"
    with pytest.raises(StopAsyncIteration):
        await anext(result)
    await result.aclose()
    assert repr(result) == "<AsyncResult complete>"


async def test_what_is_kept_of_a_long_answer_is_joined() -> None:
    many: Block = [A] * 6_000
    result, _ = result_of(list(many), list(many), list(many), IncompleteStream("cut"))
    with pytest.raises(IncompleteStream) as caught:
        async for _ in result:
            pass
    assert len(caught.value.received) == 6_001
    assert caught.value.text == str(A) * 18_000
