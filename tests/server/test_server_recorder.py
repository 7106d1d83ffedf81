"""The gateway records what its providers answer, where that is configured, and never what its clients ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.recorder import recorder_at
from backstream.providers.recorder_file import list_recordings, read
from backstream.providers.rows_shape import Row
from backstream.registry.config import load_config
from backstream.registry.registry import Registry
from backstream.server import Settings, create_app
from backstream.server.configured import configured_settings
from backstream.testing.upstream import ReadRequest, ScriptedUpstream, Send
from backstream.transport.pool import aclose_pools
from support_server import running

EVENTS = (
    b'data: {"id":"up-1","model":"real","choices":[{"index":0,"delta":{"content":"Secrets"}}]}\n\n'
    b'data: {"id":"up-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS


async def serve_one(settings: Settings, registry: Registry | None = None) -> bytes:
    async with ScriptedUpstream([ReadRequest(), Send(ANSWER)]) as upstream:
        row = Row(name="work", label="W", url=upstream.url, dialect="openai_chat", documentation="x", key_needed=False)
        app = create_app({"work": DialectProvider(row)}, settings, registry=registry)
        async with running(app=app) as server:
            asked = {"model": "work/m", "messages": [{"role": "user", "content": "Questions"}], "stream": True}
            answer = await server.ask("POST", "/v1/chat/completions", asked)
            await aclose_pools()
            await upstream.closed()
            return answer.body


async def test_streams_of_providers_are_recorded(tmp_path: Path) -> None:
    body = await serve_one(Settings(keys_file=None, record=tmp_path / "flights"))
    assert b"Secrets" in body
    recorder_at(tmp_path / "flights").flush()
    (recording,) = list_recordings(tmp_path / "flights")
    assert (recording.provider, recording.ended, recording.size) == ("work", "end", len(EVENTS))
    data = (tmp_path / "flights" / f"{recording.id}.flight").read_bytes()
    assert b"Secrets" not in data
    assert b"Questions" not in data


async def test_the_table_of_the_recorder_holds_for_the_gateway_too(tmp_path: Path) -> None:
    file = tmp_path / "backstream.toml"
    file.write_text('[recorder]\nkeep = 7\ncontent = true\n[server]\nrecord = "flights"\n')
    config = load_config(file, environ={})
    settings = configured_settings(config, {"keys_file": None})
    assert settings.record == tmp_path / "flights"
    await serve_one(settings, Registry(config, {}))
    recorder_at(tmp_path / "flights", 7, content=True).flush()
    (path,) = (tmp_path / "flights").iterdir()
    assert read(path)[1] == EVENTS


@pytest.mark.parametrize("text", ['[recorder]\nfolder = "x"\n', '[server]\nrecord = "x"\n'])
def test_a_file_that_nobody_chose_has_nothing_written(tmp_path: Path, text: str) -> None:
    (tmp_path / "backstream.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="just lies in the working folder"):
        load_config(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path)


async def test_nothing_is_recorded_by_default(tmp_path: Path) -> None:
    await serve_one(Settings(keys_file=None))
    assert list(tmp_path.iterdir()) == []
