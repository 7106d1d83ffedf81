"""How a server ends: what runs may finish, what cannot is told, and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from typing import Any

import pytest

from backstream.errors import UnavailableError
from backstream.server import Settings, create_app
from backstream.server.notify import tell_service_manager
from backstream.server.place import Place, bound
from backstream.server.protocol import ConnectionLimits
from backstream.server.run import Conduct, serve_on
from backstream.server.running import Interruption, RunningAnswers, stopping_error
from support_answering_routes import STREAMS, WHOLE
from support_server import CONVERSATION, HELLO, Journal, Running, head_and_body, parse_answers, provider_of, saying

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")


async def started(provider: Any, grace: float | None = None, **settings: Any) -> tuple[Running, asyncio.Task[Any]]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = create_app([provider], Settings(**{"keys_file": None, **settings}))
    limits = ConnectionLimits(drain_seconds=0.05)

    async def run() -> Any:
        place = Place(port=0)
        with bound(place) as groups:
            conduct = Conduct(on_ready=ready.set_result, grace_seconds=grace, limits=limits)
            return await serve_on(app, place, groups[0], conduct)

    task = asyncio.create_task(run())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    port = int((await ready).rpartition(":")[2])
    return Running(port, None), task  # type: ignore[arg-type]


def stop(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


async def drained(server: Running) -> None:
    while (await server.ask("GET", "/readyz")).status == 200:
        pass


def waiting(journal: Journal, *words: str, go: asyncio.Event | None = None) -> Any:
    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            for word in words:
                yield word
            journal.note("waits")
            await (go or asyncio.Event()).wait()
            yield "the end"
        finally:
            journal.note("closed")

    return provider_of(generate)


async def test_it_ends_as_soon_as_nothing_runs() -> None:
    _, task = await started(saying(), grace=3600)
    stop()
    assert await task == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_running_answers_end_and_new_ones_are_refused(number: signal.Signals) -> None:
    journal, go = Journal(), asyncio.Event()
    server, task = await started(waiting(journal, "one", go=go), grace=20)
    asked = asyncio.create_task(server.converse())
    await journal.wait_for("waits")
    stop(number)
    await drained(server)
    answer = await server.ask("GET", "/readyz")
    assert (answer.status, answer.json()) == (503, {"status": "draining"})
    refused = await server.ask("POST", *WHOLE[0])
    assert (refused.status, refused.header("retry-after")) == (503, "1")
    assert "stopping" in refused.message
    go.set()
    answer = await asked
    assert answer.whole
    assert [event["content"] for event in answer.events() if event["type"] == "content"] == ["one", "the end"]
    assert await task == number


@pytest.mark.parametrize(("path", "body"), STREAMS)
async def test_what_still_runs_then_ends_with_an_error_in_its_dialect(path: str, body: Any) -> None:
    journal = Journal()
    server, task = await started(waiting(journal, "one "), grace=0.0)
    asked = asyncio.create_task(server.ask("POST", path, body))
    await journal.wait_for("waits")
    stop()
    answer = await asked
    assert await task == signal.SIGTERM
    assert journal.entries == ["waits", "closed"]
    assert answer.status == 200
    text = answer.body.decode()
    assert answer.whole
    assert "the server is stopping" in text
    assert "one" in text
    for done in ("[DONE]", "message_stop", "response.completed", '"done":true', '"STOP"', '"finish_reason":"stop"'):
        assert done not in text.replace(": ", ":")
    if path == "/v1beta/models/one:streamGenerateContent":
        json.loads(text)


@pytest.mark.parametrize(("path", "body"), WHOLE)
async def test_a_whole_answer_that_has_not_begun_is_a_503(path: str, body: Any) -> None:
    journal = Journal()
    server, task = await started(waiting(journal, "one "), grace=0.0)
    asked = asyncio.create_task(server.ask("POST", path, body))
    await journal.wait_for("waits")
    stop()
    answer = await asked
    assert await task == signal.SIGTERM
    assert answer.status == (529 if path == "/v1/messages" else 503)  # Anthropic's word for it
    assert answer.header("retry-after") == "1"
    assert "the server is stopping" in answer.body.decode()
    assert journal.entries == ["waits", "closed"]


@pytest.mark.parametrize(("path", "body"), STREAMS[2:])
async def test_a_stream_that_has_not_begun_is_a_503(path: str, body: Any) -> None:
    journal = Journal()
    server, task = await started(waiting(journal), grace=0.0)
    asked = asyncio.create_task(server.ask("POST", path, body))
    await journal.wait_for("waits")
    stop()
    answer = await asked
    assert await task == signal.SIGTERM
    assert answer.status == (529 if path == "/v1/messages" else 503)
    assert "the server is stopping" in answer.body.decode()
    assert journal.entries == ["waits", "closed"]


@pytest.mark.parametrize(("path", "body"), STREAMS[2:])
async def test_a_stream_whose_head_is_out_gets_the_error_too(path: str, body: Any) -> None:
    journal = Journal()
    server, task = await started(waiting(journal), grace=0.0, gate_seconds=0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head_and_body("POST", path, body))
    received = await reader.readuntil(b"\r\n\r\n")
    await journal.wait_for("waits")
    stop()
    received += await reader.read()
    writer.close()
    assert await task == signal.SIGTERM
    answer = parse_answers(received)[0]
    assert answer.status == 200
    assert answer.whole
    assert "the server is stopping" in answer.body.decode()


@pytest.mark.parametrize("path", [CONVERSATION, "/v1/chat/completions"])
async def test_a_request_that_is_still_being_sent_is_a_503(path: str) -> None:
    server, task = await started(saying(), grace=0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head_and_body("POST", path, HELLO)[:-5])
    await asyncio.sleep(0.03)
    stop()
    received = await reader.read()
    writer.close()
    assert await task == signal.SIGTERM
    assert received.startswith(b"HTTP/1.1 503")


async def test_a_second_signal_does_not_wait() -> None:
    journal = Journal()
    server, task = await started(waiting(journal, "one"), grace=3600)
    asked = asyncio.create_task(server.converse())
    await journal.wait_for("waits")
    stop(signal.SIGINT)
    await drained(server)
    assert not task.done()
    stop(signal.SIGINT)
    answer = await asked
    assert await task == signal.SIGINT
    assert "the server is stopping" in answer.body.decode()


async def test_ctrl_c_is_quick_by_default() -> None:
    """Half a second; with the grace of SIGTERM this would take twenty."""
    journal = Journal()
    server, task = await started(waiting(journal, "one"))
    asked = asyncio.create_task(server.converse())
    await journal.wait_for("waits")
    stop(signal.SIGINT)
    async with asyncio.timeout(15):  # a guard against hanging, not a measure
        assert await task == signal.SIGINT
    assert (await asked).whole


async def test_a_provider_that_swallows_its_cancellation_is_left_anyway() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            yield "one"
            journal.note("waits")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                journal.note("swallowed")
            while True:
                yield "still here"
        finally:
            journal.note("closed")

    for path, body in STREAMS[:3]:
        journal.entries.clear()
        server, task = await started(provider_of(generate), grace=0.0)
        asked = asyncio.create_task(server.ask("POST", path, body))
        await journal.wait_for("waits")
        stop()
        answer = await asked
        assert await task == signal.SIGTERM
        assert "the server is stopping" in answer.body.decode()
        assert journal.entries == ["waits", "swallowed", "closed"]


async def test_a_provider_that_fails_when_it_is_stopped() -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            yield "one"
            journal.note("waits")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("of the provider") from None

    for path, body in [STREAMS[0], STREAMS[2]]:
        journal.entries.clear()
        server, task = await started(provider_of(generate), grace=0.0)
        asked = asyncio.create_task(server.ask("POST", path, body))
        await journal.wait_for("waits")
        stop()
        answer = await asked
        assert await task == signal.SIGTERM
        assert answer.whole
        assert "of the provider" not in answer.body.decode()


async def test_many_streams_and_clients_that_read_nothing_do_not_hold_it_up() -> None:
    started_streams = 0

    async def generate(*args: Any, **kwargs: Any) -> Any:
        nonlocal started_streams
        started_streams += 1
        yield "one"
        if started_streams % 10:
            await asyncio.Event().wait()
        while True:
            yield "x" * 200_000

    server, task = await started(provider_of(generate), grace=0.0)
    clients = []
    for _ in range(200):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(head_and_body("POST", CONVERSATION, HELLO))
        clients.append((reader, writer))
    while started_streams < 200:
        await asyncio.sleep(0.01)
    stop()
    async with asyncio.timeout(60):  # a guard against hanging, not a measure
        assert await task == signal.SIGTERM
    for _, writer in clients:
        writer.transport.abort()


class TestInterruption:
    """The context on its own: whose cancellation it is."""

    async def test_it_raises_the_error_where_the_task_waits(self) -> None:
        answers = RunningAnswers()
        seen: list[str] = []

        async def run() -> None:
            with answers.answer():
                try:
                    await asyncio.Event().wait()
                finally:
                    seen.append("closed")

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        assert len(answers) == 1
        answers.interrupt()
        with pytest.raises(UnavailableError, match="the server is stopping"):
            await task
        assert seen == ["closed"]
        assert len(answers) == 0
        assert not task.cancelling()

    async def test_whoever_has_begun_takes_the_error(self) -> None:
        answers = RunningAnswers()

        async def run() -> Any:
            with answers.answer() as interruption:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    taken = interruption.take()
                    await asyncio.sleep(0)  # the task goes on
                    return taken, interruption.take()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        answers.interrupt()
        taken, again = await task
        assert isinstance(taken, UnavailableError)
        assert again is None

    async def test_a_cancellation_from_elsewhere_stays_one(self) -> None:
        answers = RunningAnswers()

        async def run() -> None:
            with answers.answer():
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        task.cancel()
        answers.interrupt()  # too late: it is being cancelled
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_both_at_once_are_a_cancellation(self) -> None:
        answers = RunningAnswers()

        async def run() -> None:
            with answers.answer():
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        answers.interrupt()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_what_ends_meanwhile_has_ended(self) -> None:
        answers = RunningAnswers()

        async def run() -> str:
            with answers.answer():
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return "whole"
            return ""

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        answers.interrupt()
        assert await task == "whole"
        assert not task.cancelling()

    def test_one_that_was_never_entered_is_nothing(self) -> None:
        interruption = Interruption()
        interruption.interrupt(stopping_error())
        assert interruption.take() is None

    async def test_one_of_its_own_is_not_registered(self) -> None:
        with Interruption() as interruption:
            assert interruption.error is None


def test_systemd_is_told(tmp_path: Any) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        tell_service_manager("READY=1", {"NOTIFY_SOCKET": path})
        assert manager.recv(100) == b"READY=1"
    tell_service_manager("READY=1", {"NOTIFY_SOCKET": path})  # gone, and so ignored
    tell_service_manager("READY=1", {"NOTIFY_SOCKET": "nonsense"})
    tell_service_manager("READY=1", {})


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="the abstract name space is Linux's")
def test_systemd_may_listen_in_the_abstract_name_space() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0backstream-test-" + str(os.getpid()))
        tell_service_manager("STOPPING=1", {"NOTIFY_SOCKET": f"@backstream-test-{os.getpid()}"})
        assert manager.recv(100) == b"STOPPING=1"
