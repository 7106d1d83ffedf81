"""TLS: whom it trusts, what a bad certificate becomes, and that nothing is sent to such a server."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import pytest

from backstream.errors import ConfigurationError, IncompleteStream, TLSError
from backstream.testing.upstream import Close, ExpectEOF, ReadRequest, ScriptedUpstream, Send, SendSlowly
from backstream.transport import tls
from backstream.transport.session import StreamSession
from support_certificates import Certificates
from support_transport import CHUNKED, LAST_CHUNK, chunk, ok

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.mark.parametrize("kind", ["context", "str", "path"])
async def test_a_trusted_server_is_talked_to(certificates: Certificates, kind: str) -> None:
    trust = {"context": certificates.client(), "str": str(certificates.file), "path": certificates.file}[kind]
    script = [ReadRequest(), SendSlowly(CHUNKED + chunk(b"data: 1\n\n") + LAST_CHUNK), ReadRequest(), Send(ok(b"2"))]
    async with ScriptedUpstream(script, tls=certificates.server()) as upstream:
        session = StreamSession(ssl=trust)
        async with session.post(upstream.url, json={"a": 1}) as response:
            assert [event async for event in response.sse()] == [1]
        async with session.post(upstream.url, data=b"x" * 1_000_000) as response:
            assert await response.text() == "2"
    assert upstream.connections == 1
    assert upstream.requests[1].body == b"x" * 1_000_000


@pytest.mark.parametrize("fault", ["unknown authority", "wrong host", "expired"])
async def test_a_bad_certificate_is_a_tls_error_and_gets_no_request(certificates: Certificates, fault: str) -> None:
    server = certificates.server("elsewhere.test" if fault == "wrong host" else "localhost", expired=fault == "expired")
    async with ScriptedUpstream([ReadRequest(), Send(ok())], tls=server) as upstream:
        trust = None if fault == "unknown authority" else certificates.file
        with pytest.raises(TLSError, match="certificate of localhost is not valid") as caught:
            await StreamSession(ssl=trust).post(upstream.url, json={})
        with pytest.raises(TLSError):  # one request's trust is not another's
            await StreamSession(ssl=True if trust is None else trust).get(upstream.url)
        await upstream.closed()
    assert not upstream.requests
    assert not caught.value.retryable
    assert caught.value.phase == "connect"
    assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_false_verifies_nothing_and_says_so_once(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_contexts", {})
    server = certificates.server("elsewhere.test", expired=True)
    with caplog.at_level(logging.WARNING, "backstream.transport"):
        script = [ReadRequest(), Send(ok(b"a")), ReadRequest(), Send(ok(b"b"))]
        async with ScriptedUpstream(script, tls=server) as upstream:
            for _ in range(2):
                async with StreamSession(ssl=False).get(upstream.url) as response:
                    assert await response.text() == "a"
                async with StreamSession().get(upstream.url, ssl=False) as response:
                    response.abort()
            with pytest.raises(TLSError):
                await StreamSession().get(upstream.url)
    assert [record.levelname for record in caplog.records if "not verified" in record.message] == ["WARNING"]


async def test_a_server_that_speaks_no_tls_is_a_tls_error() -> None:
    for script in ([Send(b"HTTP/1.1 400 Bad\r\n\r\n"), ExpectEOF()], [Close()]):
        async with ScriptedUpstream(script) as upstream:
            with pytest.raises(TLSError, match="handshake with localhost failed"):
                await StreamSession(ssl=False).get(f"https://localhost:{upstream.port}/")
            await upstream.closed()


async def test_an_authority_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem", tmp_path, "nul\0"):
        with pytest.raises(ConfigurationError, match="CA file"):
            await StreamSession(ssl=path).get("https://localhost:1/")
    with pytest.raises(ConfigurationError, match="ssl is a int"):
        await StreamSession(ssl=3).get("https://localhost:1/")  # type: ignore[arg-type]


async def test_a_changed_authority_file_is_read_anew(certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates(tmp_path / ".." / tmp_path.name)  # overwrites the file with another authority
    async with ScriptedUpstream([ReadRequest(), Send(ok())], tls=other.server()) as upstream:
        async with StreamSession(ssl=other.file).get(upstream.url) as response:
            assert response.ok
    newer = Certificates(tmp_path)
    async with ScriptedUpstream([ReadRequest(), Send(ok())], tls=newer.server()) as upstream:
        async with StreamSession(ssl=newer.file).get(upstream.url) as response:
            assert response.ok
    certificates.authority.cert_pem.write_to_path(str(certificates.file))


async def test_a_context_is_built_once_for_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[None] = []
    real = ssl.create_default_context
    monkeypatch.setattr(tls, "_contexts", {})
    monkeypatch.setattr(ssl, "create_default_context", lambda: built.append(None) or real())
    contexts = await asyncio.gather(*(tls.load_context(None) for _ in range(8)))
    assert len(set(map(id, contexts))) == len(built) == 1
    assert tls.find_context(True) is contexts[0]


async def test_a_cut_tls_body_is_incomplete(certificates: Certificates) -> None:
    script = [ReadRequest(), Send(CHUNKED + chunk(b"received")), Close()]
    async with ScriptedUpstream(script, tls=certificates.server()) as upstream:
        async with StreamSession(ssl=certificates.file).get(upstream.url) as response:
            assert await response.read_block() == b"received"
            with pytest.raises(IncompleteStream):
                await response.read_block()


async def test_leaving_a_tls_answer_early_closes_the_connection(certificates: Certificates) -> None:
    script = [ReadRequest(), Send(CHUNKED + chunk(b"a")), ExpectEOF()]
    async with ScriptedUpstream(script, tls=certificates.server()) as upstream:
        async with StreamSession(ssl=certificates.file).get(upstream.url) as response:
            assert await response.read_block() == b"a"
        await upstream.closed()


async def test_a_cancelled_handshake_closes_the_connection() -> None:
    async with ScriptedUpstream([ExpectEOF()]) as upstream:
        task = asyncio.create_task(StreamSession(ssl=False).get(f"https://localhost:{upstream.port}/").__aenter__())
        while not upstream.connections:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.closed()
