"""A gateway on a port where other servers usually are: it does not find, list or ask itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from backstream.errors import UnavailableError
from backstream.providers.table import ROWS
from backstream.registry.config import Config
from backstream.registry.own import check_not_own, own_address, rows_to_probe
from backstream.registry.registry import Registry
from backstream.server import Settings, create_app
from backstream.server.app import Gateway
from backstream.server.listener import bind
from backstream.server.place import Place
from backstream.server.run import Conduct, serve_on
from support_server import Running

NAMES = ("llamacpp", "localai", "g4f", "backstream")


def gateway_on(port: int, home: Path) -> Gateway:
    """A gateway whose registry looks for every one of these servers on its own port."""
    rows = {}
    for name in NAMES:
        path = ROWS[name].url.partition(":8080")[2]
        rows[name] = msgspec.structs.replace(ROWS[name], url=f"http://127.0.0.1:{port}{path}", local_ports=(port,))
    registry = Registry(Config(), {"HOME": str(home)}, table=rows)
    return create_app(None, Settings(keys_file=None), registry=registry)


async def test_it_neither_finds_nor_asks_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    app = gateway_on(port, tmp_path)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    place = Place(host="127.0.0.1", port=port)
    running = asyncio.create_task(serve_on(app, place, sockets, Conduct(on_ready=ready.set_result)))
    await ready
    server = Running(port, None)  # type: ignore[arg-type] # only its way of asking is used
    listed = await server.ask("GET", "/v1/models")
    chat = {"model": "llamacpp/echo", "messages": [{"role": "user", "content": "Hi"}]}
    refused = await server.ask("POST", "/v1/chat/completions", chat)
    counted = await server.ask("GET", "/metrics")
    running.cancel()
    await asyncio.wait([running])
    listed_names = {model["id"].partition("/")[0] for model in listed.json()["data"]}
    assert listed_names
    assert not listed_names & set(NAMES)
    assert refused.status == 503
    assert "this server's own" in refused.message
    assert str(port) not in refused.message
    counts = [line for line in counted.body.decode().splitlines() if line.startswith("backstream_requests_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in counts) == 2, counts
    assert not [record for record in caplog.records if record.levelname == "WARNING" and "lists no" in record.message]


def test_settings_read_again_leave_it_out_too(tmp_path: Path) -> None:
    app = gateway_on(8080, tmp_path)
    assert app.registry is not None
    app.registry.own_addresses = frozenset({own_address("localhost", 8080)})
    later = gateway_on(8080, tmp_path).registry
    app.follow(app.settings, later)
    assert later is not None
    assert later.own_addresses == {("127.0.0.1", 8080)}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0", "::"])
def test_every_form_of_this_machine(host: str) -> None:
    own = {own_address(host, 8080)}
    with pytest.raises(UnavailableError) as caught:
        check_not_own(ROWS["llamacpp"], own)
    assert not caught.value.retryable
    probed = {row.name: row.local_ports for row in rows_to_probe(ROWS.values(), own)}
    assert "llamacpp" in probed
    assert not any(8080 in ports for ports in probed.values())
    assert "backstream" not in probed


def test_another_address_is_somebody_else_s() -> None:
    own = {own_address("192.0.2.1", 8080)}
    check_not_own(ROWS["llamacpp"], own)
    check_not_own(ROWS["ollama"], {own_address("127.0.0.1", 8080)})
    assert [row.name for row in rows_to_probe([ROWS["llamacpp"]], own)] == ["llamacpp"]
