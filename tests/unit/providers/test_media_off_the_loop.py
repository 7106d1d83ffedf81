"""Getting media ready must not hold up the loop that streams other answers."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from backstream import BackendApi


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
async def test_a_pipe_that_waits_for_its_writer_holds_up_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "picture"
    os.mkfifo(pipe)
    went_on, by_the_loop = threading.Event(), []

    def write() -> None:
        by_the_loop.append(went_on.wait(5))  # only a loop that is held up lets the time pass
        pipe.write_bytes(b"GIF89a" + bytes(100))

    writer = threading.Thread(target=write)
    answer = BackendApi.create_async_generator("echo", [{"role": "user", "content": "Hi"}], media=[pipe])
    reader = asyncio.ensure_future(anext(answer))
    writer.start()
    for _ in range(10):
        await asyncio.sleep(0)
    went_on.set()
    await reader
    text = "".join([str(piece) async for piece in answer])
    writer.join()
    assert by_the_loop == [True]
    assert "image/gif, 106 bytes" in text
