"""Paths and addresses that a client names: no file is opened for them, and nobody is asked for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backstream.chunks import Content
from backstream.server.routes import ROUTES
from backstream.testing.upstream import ReadRequest, ScriptedUpstream
from backstream.transport.media import load_media
from support_security import BODIES, ROWS, Counting, before, form_of, refusing, with_model
from support_server import CONVERSATION, close, head_and_body, provider_of, running, saying

DATA = Path(__file__).parents[2] / "data"
FILE = "canary-of-a-file.txt"
LISTS = ("directory_traversal.txt", "deep_traversal.txt", "traversals-8-deep-exotic-encoding.txt")
TRAVERSALS = [
    line.replace("{FILE}", FILE)
    for name in LISTS
    for line in (DATA / "traversal-crlf" / name).read_text(errors="replace").split("\n")
    if line
]
WHERE = ["/etc/passwd", "/proc/self/environ", "~/.ssh/id_rsa", "C:\\Windows\\win.ini", f"/tmp/{FILE}", "//host/share"]
SSRF: list[dict[str, str]] = json.loads((DATA / "ssrf" / "cases.json").read_text())


class Opened:
    """What was opened, listed or looked for in this process that no program of ours names."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.watching = False
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.watching or not event.startswith(("open", "os.", "shutil.", "glob.", "pathlib.")):
            return
        for path in args[:2]:
            text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if ".." in text.split("/") or FILE in text or text.startswith(("/etc/", "/proc/self/environ", "~")):
                self.paths.append(f"{event} {text}")


OPENED = Opened()


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths of clients that were opened meanwhile."""
    OPENED.paths.clear()
    OPENED.watching = True
    try:
        yield OPENED.paths
    finally:
        OPENED.watching = False


def test_the_watch_sees_what_is_opened(opened: list[str], tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("x")
    with open("/etc/hostname", "rb"):
        pass
    assert len(opened) >= 2


async def test_paths_that_lead_out_open_nothing(opened: list[str]) -> None:
    """Every list of them, as the path itself and as each name in a pattern."""
    patterns = sorted({route.path for route in ROUTES if "{" in route.path})
    assert len(patterns) > 10
    assert len(TRAVERSALS) > 1900
    async with running([saying()]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number, text in enumerate(TRAVERSALS):
            pattern = patterns[number % len(patterns)]
            begin, _, rest = pattern.partition("{")
            for target in (
                "/" + quote(text.lstrip("/"), safe="/%.;\\"),
                begin + quote(text, safe="") + rest.partition("}")[2],
            ):
                writer.write(head_and_body("GET", target.replace("\\", "%5c"), keep=True))
                status, body = await answer_of(reader)
                assert status in (400, 404, 405) or (status, body) == (200, b"[]\n"), (target, status)
        await close(writer)
    assert opened == []


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head.split(" ", 2)[1]), await reader.readexactly(int(length.partition(":")[2]))


async def test_file_names_of_forms_open_nothing(opened: list[str]) -> None:
    given: list[Any] = []

    async def generate(model: str, messages: Any, media: Any = None, **keywords: Any) -> AsyncIterator[Any]:
        given.extend(item.filename for item in load_media(media))
        yield Content(content="Hi")

    async with running([provider_of(generate)]) as server:
        for text in [*TRAVERSALS[::23], *WHERE]:
            disposition = f'filename="{text}"'.encode("ascii", "replace")
            for path, field in (
                (CONVERSATION, "files"),
                ("/v1/audio/transcriptions", "file"),
                ("/v1/images/edits", "image"),
            ):
                raw, fields = form_of(field, disposition, b"plain text in a file")
                assert (await server.ask("POST", path, raw, headers=fields)).status in (200, 400, 404, 415, 422)
    assert opened == []
    assert given
    assert not [name for name in given if name and ("/" in name or "\\" in name)]


@pytest.mark.parametrize("name", BODIES)
async def test_paths_in_place_of_media_open_nothing(opened: list[str], name: str) -> None:
    async with running([saying()]) as server:
        for text in [*TRAVERSALS[::97], *WHERE, *(f"file://{each}" for each in WHERE)]:
            for path, body in with_media(name, text):
                assert (await server.ask("POST", path, body)).status in (200, 400, 422), text
    assert opened == []


def with_media(name: str, url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way in which a client of a dialect can name media by an address."""
    path, body = BODIES[name]
    kinds: list[Any] = []
    match name:
        case "backend_api":
            yield path, {**body, "media": [[url, "a.png"]]}
            yield path, {**body, "media": [[url, "../../a.png"]], "image_urls": [url], "web_search": url}
        case "gemini":
            for member in ("fileData", "file_data"):
                part = {member: {"fileUri": url, "file_uri": url, "mimeType": "image/png"}}
                yield path, {"contents": [{"role": "user", "parts": [{"text": "Hi"}, part]}]}
        case "ollama":
            yield path, {**body, "messages": [{"role": "user", "content": "Hi", "images": [url]}]}
        case "openai_responses":
            kinds = [
                {"type": "input_image", "image_url": url},
                {"type": "input_file", "file_url": url},
                {"type": "input_file", "file_data": url, "filename": "a.pdf"},
                {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
            ]
        case "anthropic_messages":
            kinds = [
                {"type": "image", "source": {"type": "url", "url": url}},
                {"type": "document", "source": {"type": "url", "url": url}},
                {"type": "document", "source": {"type": "file", "file_id": url}},
            ]
        case _:
            kinds = [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "image_url", "image_url": url},
                {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
                {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": url}},
                {"type": "video_url", "video_url": {"url": url}},
            ]
    for part in kinds:
        turn = {"role": "user", "content": [part]}
        yield path, {**body, **({"input": [turn]} if name == "openai_responses" else {"messages": [turn]})}


def addresses(port: int) -> list[str]:
    """Every case as an address; the ones of this machine lead to a server of ours."""
    found = []
    for case in SSRF:
        text = case["input"]
        match case["kind"]:
            case "url-host":
                found.append(f"http://{text}")
            case "url":
                found.append(text.replace("PORT", str(port)))
            case "ip":
                found.append(f"http://[{text}]:{port}/" if ":" in text else f"http://{text}:{port}/")
            case "scheme":
                found.append(text)
    return [*found, f"http://127.0.0.1:{port}/a.png", f"http://localhost:{port}/a.wav", f"HTTP://LOCALHOST:{port}/a"]


@pytest.mark.parametrize("name", BODIES)
async def test_nobody_is_asked_for_an_address_that_a_client_names(name: str, opened: list[str]) -> None:
    """By a class of ours, which would get what a provider gets; one that asks for it does so itself."""
    counting = Counting()
    async with ScriptedUpstream([ReadRequest()]) as canary, running([counting.provider]) as server:
        for url in addresses(canary.port):
            for path, body in with_media(name, url):
                assert (await server.ask("POST", path, body)).status in (200, 400, 422), url
        assert canary.connections == 0
    assert counting.asked
    assert opened == []


@pytest.mark.parametrize("provider", ROWS)
async def test_nobody_is_asked_for_it_before_a_back_end_that_wants_bytes(provider: str) -> None:
    """Some back-ends take no addresses; the gateway fetches nothing for them either."""
    async with ScriptedUpstream([ReadRequest()]) as canary, before(provider, *refusing(provider)) as (server, _):
        for name in BODIES:
            for path, body in with_media(name, f"http://127.0.0.1:{canary.port}/a.png"):
                if "model" in body:
                    body["model"] = "work/one"
                answer = await server.ask("POST", path.replace("models/one", "models/work/one"), body)
                assert answer.status in (200, 400, 422, 501), (name, answer.body)
        assert canary.connections == 0


async def test_an_address_in_place_of_a_provider_or_model_is_asked_nothing() -> None:
    async with ScriptedUpstream([ReadRequest()]) as canary, running() as server:
        for url in (f"http://127.0.0.1:{canary.port}/v1", f"127.0.0.1:{canary.port}", f"custom:{canary.port}"):
            for name in BODIES:
                path, body = with_model(name, quote(url, safe="") if name == "gemini" else url)
                body = {**body, "provider": url, "base_url": url, "api_base": url, "proxy": url}
                assert (await server.ask("POST", path, body)).status >= 400
        assert canary.connections == 0
