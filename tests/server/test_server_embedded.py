"""The embedded backend: there when asked for, gone with its event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap

import pytest

from backstream.server.embedded import start_embedded
from support_server import HELLO, Running


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def reach(url: str) -> Running:
    return Running(int(url.rpartition(":")[2]), None)  # type: ignore[arg-type]


def test_it_runs_once_in_each_loop_and_ends_with_it() -> None:
    ports = []

    async def main() -> None:
        before = asyncio.all_tasks()
        urls = await asyncio.gather(*(start_embedded() for _ in range(5)))
        assert len(set(urls)) == 1
        assert asyncio.all_tasks() == before
        answer = await reach(urls[0]).converse()
        assert [event["type"] for event in answer.events()][-2:] == ["finish", "usage"]
        assert (await reach(urls[0]).ask("GET", "/healthz", host="evil.example")).status == 403
        assert (await reach(urls[0]).ask("GET", "/healthz", headers={"Origin": "null"})).status == 403
        ports.append(reach(urls[0]).port)

    asyncio.run(main())  # what a first loop opens for good is not counted
    before = descriptors()
    asyncio.run(main())
    with asyncio.Runner() as runner:
        runner.run(main())
        runner.run(main())
    assert len(ports) == 4
    assert ports[2] == ports[3]
    assert descriptors() == before


def test_it_ends_under_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is optional")

    async def main() -> int:
        url = await start_embedded()
        assert (await reach(url).converse()).whole
        return reach(url).port

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())  # what a first loop opens for good is not counted
    before = descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        port = runner.run(main())
    with pytest.raises(ConnectionError):
        asyncio.run(Running(port, None).converse())  # type: ignore[arg-type]
    assert descriptors() == before


def test_a_cancelled_start_can_be_repeated() -> None:
    async def main() -> None:
        first = asyncio.create_task(start_embedded())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        url = await start_embedded()
        assert (await reach(url).converse()).whole

    before = descriptors()
    asyncio.run(main())
    assert descriptors() == before


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_stream_left_open_at_the_end_of_the_program_makes_no_noise(loop: str) -> None:
    """All tasks are cancelled at the end of ``asyncio.run``, those that answer requests among them."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is optional")
    program = """
        import asyncio, logging, sys
        sys.path.insert(0, sys.argv[2])
        from backstream.server.embedded import start_embedded
        from support_server import HELLO, head_and_body

        async def main():
            url = await start_embedded()
            streams = []
            for pace in (0, 1):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                raw = head_and_body("POST", "/backend-api/v2/conversation", {**HELLO, "pace_seconds": pace}, keep=True)
                writer.write(raw)
                await reader.readuntil(b"event: provider")
                streams.append(writer)
            half = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            half[1].write(raw[:-10])
            await asyncio.sleep(0.02)
            for writer in (*streams, half[1]):
                writer.transport.abort()

        if sys.argv[1] == "uvloop":
            import uvloop
            with asyncio.Runner(loop_factory=uvloop.new_event_loop, debug=True) as runner:
                runner.run(main())
        else:
            asyncio.run(main(), debug=True)
        print("done")
    """
    tests = os.path.dirname(os.path.dirname(__file__))
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), loop, tests],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    noise = [line for line in ended.stderr.splitlines() if not line.startswith("Executing <")]  # slow machine, dev mode
    assert (ended.stdout, noise, ended.returncode) == ("done\n", [], 0)


def test_an_exception_in_the_program_ends_it_too() -> None:
    async def main() -> None:
        url = await start_embedded()
        asking = asyncio.create_task(reach(url).converse({**HELLO, "pace_seconds": 5}))
        await asyncio.sleep(0.02)
        assert not asking.done()
        raise KeyError("the program's own")

    before = descriptors()
    with pytest.raises(KeyError):
        asyncio.run(main())
    assert descriptors() == before
