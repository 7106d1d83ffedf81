"""TLS: what is shown, what is refused, and certificates that change while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import trustme

from backstream.errors import ConfigurationError
from backstream.server import Settings, create_app
from backstream.server.place import Place, bound
from backstream.server.protocol import ConnectionLimits
from backstream.server.run import Conduct, serve, serve_on
from backstream.server.tls import ServerTLS, TLSFiles
from support_server import CONVERSATION, HELLO, Journal, head_and_body, parse_answers, provider_of, saying


class Shop:
    """Where certificates come from."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.files = TLSFiles(certificate=folder / "cert.pem", key=folder / "key.pem")

    def issue(self, *names: str) -> None:
        leaf = self.authority.issue_cert(*names)
        self.files.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.files.key.write_bytes(leaf.private_key_pem.bytes())

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.issue("localhost", "127.0.0.1")
    return made


class Served:
    def __init__(self, task: asyncio.Task[Any], url: str, shop: Shop) -> None:
        self.task = task
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._shop = shop

    async def open(
        self, name: str | None = "localhost", context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or self._shop.client(), server_hostname=name
        )

    async def ask(self, raw: bytes, **how: Any) -> Any:
        reader, writer = await self.open(**how)
        writer.write(raw)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return parse_answers(received)[0]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def start(shop: Shop, app: Any = None, **conduct: Any) -> Served:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = app or create_app([saying()], Settings(keys_file=None))
    place = Place(port=0, tls=shop.files)

    async def run() -> None:
        with bound(place) as groups:
            await serve_on(app, place, groups[0], Conduct(on_ready=ready.set_result, **conduct))

    task = asyncio.create_task(run())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    return Served(task, await ready, shop)


HEALTH = head_and_body("GET", "/healthz")


async def test_it_speaks_tls(shop: Shop) -> None:
    served = await start(shop)
    assert served.url == f"https://127.0.0.1:{served.port}"
    for name in ("localhost", "127.0.0.1"):  # the second one is not sent in the handshake
        assert (await served.ask(HEALTH, name=name)).status == 200
    _, writer = await served.open()
    assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    writer.close()
    await writer.wait_closed()
    await served.stop()


async def test_its_own_pages_are_of_https(shop: Shop) -> None:
    served = await start(shop)
    for origin, status in [("https://localhost", 200), ("http://localhost", 403)]:
        assert (await served.ask(head_and_body("GET", "/healthz", headers={"Origin": origin}))).status == status
    await served.stop()


async def test_old_versions_are_refused(shop: Shop) -> None:
    served = await start(shop)
    context = shop.client()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await served.open(context=context)
    assert (await served.ask(HEALTH)).status == 200
    await served.stop()


async def test_plain_requests_get_nothing(shop: Shop) -> None:
    served = await start(shop)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(HEALTH)
    try:
        received = await reader.read()
    except ConnectionError:
        received = b""
    assert b"HTTP" not in received
    writer.close()
    await served.stop()


async def test_an_unfinished_handshake_is_closed_and_holds_nobody_up(shop: Shop) -> None:
    served = await start(shop, limits=ConnectionLimits(head_seconds=0.3))
    silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(50)]
    assert (await served.ask(HEALTH)).status == 200
    for reader, writer in silent:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
    await served.stop()


async def test_an_unfinished_handshake_does_not_hold_up_the_end(shop: Shop) -> None:
    served = await start(shop)
    silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(5)]
    async with asyncio.timeout(8):  # a guard; a handshake has ten seconds
        await served.stop()
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize("words", [(), ("one",)], ids=["before the first chunk", "during the stream"])
async def test_a_client_that_leaves_closes_the_provider(shop: Shop, words: tuple[str, ...]) -> None:
    journal = Journal()

    async def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            journal.note("started")
            for word in words:
                yield word
            await asyncio.Event().wait()
        finally:
            journal.note("closed")

    served = await start(shop, create_app([provider_of(generate)], Settings(keys_file=None)))
    reader, writer = await served.open()
    writer.write(head_and_body("POST", CONVERSATION, HELLO))
    await journal.wait_for("started")
    for word in words:
        await reader.readuntil(word.encode())
    writer.close()
    await journal.wait_for("closed")
    await served.stop()


async def test_a_certificate_is_read_again_while_connections_go_on(shop: Shop) -> None:
    tls = await asyncio.to_thread(ServerTLS, shop.files)

    async def names(server: asyncio.Server) -> tuple[Any, asyncio.StreamWriter]:
        port = server.sockets[0].getsockname()[1]
        context = shop.client()
        context.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="x.example")
        return writer.get_extra_info("peercert")["subjectAltName"], writer

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.context) as server:
        before, running = await names(server)
        shop.issue("new.example")
        await tls.reload()
        after, other = await names(server)
        assert (before[0], after[0]) == (("DNS", "localhost"), ("DNS", "new.example"))
        shop.files.key.write_text("rubbish")
        with pytest.raises(ConfigurationError, match=r"key\.pem does not hold the key of the certificate"):
            await tls.reload()
        still, third = await names(server)
        assert still == after
        for writer in (running, other, third):
            writer.close()
            await writer.wait_closed()


LOCKED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjxkbYfQBKGywICCAAw
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cert.pem", None, r"cannot read .*cert\.pem: No such file or directory; check its name"),
        ("key.pem", None, r"cannot read .*key\.pem: No such file"),
        ("cert.pem", b"rubbish", r"cert\.pem holds no certificate; use a PEM file"),
        ("cert.pem", b"", r"cert\.pem holds no certificate"),
        ("key.pem", b"rubbish", r"key\.pem does not hold the key of the certificate in .*cert\.pem"),
        ("key.pem", trustme.CA().private_key_pem.bytes(), r"key\.pem does not hold the key"),
    ],
)
def test_files_that_are_none(shop: Shop, name: str, content: bytes | None, problem: str) -> None:
    path = shop.files.key.parent / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem):
        ServerTLS(shop.files)


def test_a_key_with_a_password_is_asked_of_nobody(shop: Shop) -> None:
    """OpenSSL would ask on the terminal."""
    done = subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", shop.files.key, "-out", f"{shop.files.key}.locked"],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("openssl, which locks the key for this test, does not run here")
    files = TLSFiles(certificate=shop.files.certificate, key=Path(f"{shop.files.key}.locked"))
    with pytest.raises(ConfigurationError, match=r"locked is locked with a password; store the key without one"):
        ServerTLS(files)


async def test_a_bad_file_is_found_before_anything_is_served(shop: Shop) -> None:
    shop.files.key.unlink()
    with pytest.raises(ConfigurationError, match=r"cannot read .*key\.pem"):
        await serve(create_app([saying()], Settings(keys_file=None)), port=0, tls=shop.files)


def test_a_unix_socket_needs_no_tls(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="a Unix socket needs no TLS"):
        Place(socket_path=Path("a.sock"), tls=shop.files)


PROGRAM = """
    import asyncio, sys
    from pathlib import Path
    from backstream.server import Settings, create_app
    from backstream.server.run import serve
    from backstream.server.tls import TLSFiles

    files = TLSFiles(certificate=Path(sys.argv[1]), key=Path(sys.argv[2]))
    app = create_app(settings=Settings(keys_file=None))
    asyncio.run(serve(app, port=0, tls=files, on_ready=lambda url: print(url, flush=True)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_reads_the_certificate_again(shop: Shop) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), shop.files.certificate, shop.files.key],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline().rpartition(":")[2])

        def shown() -> Any:
            context = shop.client()
            context.check_hostname = False
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                context.wrap_socket(plain, server_hostname="x.example") as connection,
            ):
                certificate = connection.getpeercert()
                assert certificate is not None
                return certificate["subjectAltName"][0][1]

        assert shown() == "localhost"
        shop.issue("new.example")
        os.kill(program.pid, signal.SIGHUP)
        while shown() != "new.example":
            pass
        program.send_signal(signal.SIGTERM)
        _, err = program.communicate(timeout=60)
    assert (err, program.returncode) == ("", 0)
