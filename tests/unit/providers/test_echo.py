"""``Echo`` under a long prompt, and what it does not count as having arrived."""

from __future__ import annotations

import asyncio
from typing import Any

from backstream.chunks import Finish, RawResponse
from backstream.options import CallOptions, Deadlines
from backstream.providers.echo import Echo


async def test_counting_a_long_prompt_does_not_hold_the_loop() -> None:
    """Others get their turn between its last word and its end."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns())
    chunks: list[tuple[int, RawResponse]] = []
    prompt = "word " * 200_000
    async for chunk in Echo.create_async_generator("echo", [{"role": "user", "content": prompt}]):
        chunks.append((turns, chunk))
    other.cancel()
    at = next(number for number, (_, chunk) in enumerate(chunks) if isinstance(chunk, Finish))
    assert chunks[at][0] > chunks[at - 1][0]
    assert chunks[-1][1]["usage"]["prompt_tokens"] == 200_000


async def test_local_options_are_not_told_as_sent() -> None:
    options: dict[str, Any] = {"deadlines": Deadlines(), "receipts": "warn", "options": CallOptions()}
    messages = [{"role": "user", "content": "Hi"}]
    said = "".join([str(chunk) async for chunk in Echo.create_async_generator("echo", messages, **options, seed=1)])
    assert said.endswith("1 further parameter arrived: `seed`\n")
