"""Secrets and places: keys, prompts and media show in no log, metric, error or file; nor do paths and addresses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream import DialectProvider
from backstream.cli.logs import show_requests
from backstream.errors import ConnectError, ProxyError, RedirectError, TLSError, UnavailableError
from backstream.providers.table import row
from backstream.server import Settings, create_app
from backstream.server.keys import add_key
from backstream.server.places import hide_place
from backstream.testing.upstream import Close, ReadRequest, Reset, ScriptedUpstream, Send
from backstream.transport.pool import aclose_pools
from support_security import BODIES, KEY, ROWS, before, paths, refusing, with_model
from support_server import Answer, provider_of, running

PROMPT = "canary prompt about a lighthouse"
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"canary picture" * 20).decode()
PASSWORD = "canary-basic-password"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
HEL = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
REPOSITORY = Path(__file__).parents[3]
LO = b'data: {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@contextlib.contextmanager
def logged(form: Any) -> Iterator[list[str]]:
    """Everything that any logger says, at its finest level, and the log of ``serve`` in one of its forms."""
    text = io.StringIO()
    root = logging.getLogger()
    handler = logging.StreamHandler(text)
    level = root.level
    root.setLevel(1)
    root.addHandler(handler)
    said: list[str] = []
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        said.append(text.getvalue())


def conversation(name: str, model: str = "work/one", **members: Any) -> tuple[str, dict[str, Any]]:
    """A conversation that says the prompt and shows the picture."""
    path, body = with_model(name, model, **members)
    uri = f"data:image/png;base64,{PICTURE}"
    parts: list[Any] = [{"type": "text", "text": PROMPT}]
    match name:
        case "backend_api":
            return path, {**body, "messages": [{"role": "user", "content": PROMPT}], "media": [[uri, "a.png"]]}
        case "openai_responses":
            parts = [{"type": "input_text", "text": PROMPT}, {"type": "input_image", "image_url": uri}]
            return path, {**body, "input": [{"role": "user", "content": parts}]}
        case "anthropic_messages":
            parts += [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}]
        case "gemini":
            pieces = [{"text": PROMPT}, {"inlineData": {"mimeType": "image/png", "data": PICTURE}}]
            return path, {"contents": [{"role": "user", "parts": pieces}]}
        case "ollama":
            return path, {**body, "messages": [{"role": "user", "content": PROMPT, "images": [PICTURE]}]}
        case _:
            parts += [{"type": "image_url", "image_url": {"url": uri}}]
    return path, {**body, "messages": [{"role": "user", "content": parts}]}


def without_provider(answer: Answer) -> str:
    """The body; in the backend-api an event says where a provider of the program is, as its clients expect."""
    return "\n".join(line for line in answer.body.decode().split("\n") if '{"type":"provider"' not in line)


SCRIPTS: dict[str, list[Any]] = {
    "whole": [Send(HEAD + HEL + LO), Close()],
    "cut": [Send(HEAD + HEL), Reset()],
    "refused": refusing("openai_chat", {"error": {"message": f"bad key {KEY} for {PROMPT}"}}, "401 Unauthorized"),
    "failed": refusing("openai_chat", f"<html>{KEY} {PROMPT}</html>".encode(), "500 Oh", "Content-Type: text/html"),
    "an error within": [Send(HEAD + HEL + b'data: {"error": {"message": "no %b"}}\n\n' % KEY.encode()), Close()],
    "not HTTP": [Send(b"nonsense " + KEY.encode() + b"\r\n\r\n"), Close()],
    "nothing": [Close()],
}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_no_secret_shows_anywhere(script: str, form: Any, keys: Path, tmp_path: Path, capfd: Any) -> None:
    """Through every dialect, with every way to present a key; in no log at its finest level, metric or state file."""
    key = add_key(keys, "laptop")
    asyncio.get_running_loop().set_debug(True)
    state = tmp_path / "state.db"
    ways = [
        {"Authorization": f"Bearer {key}"},
        {"Authorization": "Basic " + base64.b64encode(f"u:{key}".encode()).decode()},
        {"x-api-key": key, "Cookie": f"session={PASSWORD}"},
        {"x-goog-api-key": key},
        {"g4f-api-key": key, "Authorization": "Basic " + base64.b64encode(f"u:{PASSWORD}".encode()).decode()},
    ]
    answers: list[Answer] = []
    with logged(form) as said, show_requests_in(form):
        async with before("openai_chat", *SCRIPTS[script], keys_file=keys, state_file=state) as (server, upstream):
            for number, name in enumerate(BODIES):
                path, body = conversation(name, stream=number % 2 == 0)
                answers.append(await server.ask("POST", path, {**body, "store": False}, headers=ways[number % 5]))
            path, body = conversation("gemini")
            answers.append(await server.ask("POST", f"{path}?key={key}", body))
            answers.append(await server.ask("POST", f"{path}?key={key}x", body))
            answers.append(await server.ask("POST", path, b'{"' + PROMPT.encode(), headers=ways[0]))
            page = await server.ask("GET", "/metrics", headers=ways[0])
            assert KEY in upstream.requests[0].head.decode("latin-1")
            assert PROMPT in upstream.requests[0].body.decode()
            files = b"".join(each.read_bytes() for each in tmp_path.rglob("state.db*"))
    printed = capfd.readouterr()
    shown = [*said, page.body.decode(), files.decode("latin-1"), printed.out, printed.err, keys.read_text()]
    assert "request" in said[0]
    for text in shown:
        for canary in (key, key[8:], KEY, PROMPT, PICTURE[:40], PICTURE[-40:], "canary picture", PASSWORD):
            assert canary not in text
    for answer in answers:
        raw = str(answer.headers) + without_provider(answer)
        for canary in (
            key,
            KEY,
            PICTURE[:40],
            PASSWORD,
            f":{upstream.port}",
            "Traceback",
            str(Path(__file__).parents[3]),
        ):
            assert canary not in raw, raw


@contextlib.contextmanager
def show_requests_in(form: Any) -> Iterator[None]:
    """The log of ``serve``, on the standard error stream."""
    logger, server = logging.getLogger("backstream"), logging.getLogger("backstream.server")
    before_it = [*logger.handlers], server.level
    show_requests(form)
    try:
        yield
    finally:
        logger.handlers[:], _ = before_it
        server.setLevel(before_it[1])


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", BODIES)
async def test_an_error_tells_no_place(name: str, stream: bool) -> None:
    """A back-end that is not there, refuses the connection, or answers with its own insides."""
    async with ScriptedUpstream([Close()]) as gone:
        pass
    insides = (
        f'Traceback (most recent call last):\n  File "/srv/app/secret.py", line 3\nhttp://10.1.2.3:99/internal {KEY}'
    )
    for url, steps in (
        (gone.url, []),
        ("", refusing("openai_chat", insides.encode(), "500 Internal Server Error", "Content-Type: text/plain")),
        ("", refusing("openai_chat", b"", "302 Found", "Location: http://10.1.2.3:99/internal")),
    ):
        async with ScriptedUpstream([ReadRequest(), *steps]) as upstream:
            provider = DialectProvider(msgspec.structs.replace(row("openai"), url=url or upstream.url), KEY)
            async with running(app=create_app({"work": provider}, Settings(keys_file=None))) as server:
                answer = await server.ask("POST", *with_model(name, "work/one", stream=stream))
                await aclose_pools()
        text = without_provider(answer)
        assert answer.status >= 400 or name == "backend_api", text
        for place in (
            str(gone.port),
            str(upstream.port),
            "127.0.0.1",
            "no-such-host",
            "10.1.2.3",
            "/srv/app",
            "Traceback",
            KEY,
        ):
            assert place not in text, text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectError("no connection to 10.1.2.3 port 9"), "no connection to the back-end"),
        (TLSError("the certificate of inner.example is not valid"), "no secure connection to the back-end"),
        (RedirectError("to another origin, http://10.1.2.3", status=307), "the back-end answered with a redirect"),
        (ProxyError("the proxy refused the tunnel with status 403"), "the proxy refused the tunnel with status 403"),
        (ValueError("anything"), "anything"),
        (UnavailableError("words", status=503, body=b'{"error":"words"}'), "words (503)"),
        (UnavailableError("words", status=503), "words (503)"),
        (UnavailableError("inside", status=503, body=b"inside"), "the back-end refused the request with status 503"),
    ],
)
def test_a_place_is_told_to_the_log_alone(error: Exception, told: str, caplog: pytest.LogCaptureFixture) -> None:
    before_it = str(error)
    hide_place(error)
    hide_place(error)
    assert str(error) == told
    logged_texts = [record.getMessage().rpartition("asked: ")[2] for record in caplog.records]
    assert logged_texts == [before_it] * (told != before_it and not isinstance(error, UnavailableError))


async def test_a_defect_tells_nothing_in_any_dialect(caplog: pytest.LogCaptureFixture) -> None:
    """What a provider's code raises is told by its class alone, to the log too."""
    caplog.set_level(logging.DEBUG)
    secret = f"{KEY} {PROMPT} /srv/app/secret.py http://10.1.2.3/"

    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        raise ValueError(secret)
        yield

    def fail(*args: Any, **keywords: Any) -> Any:
        raise ValueError(secret)

    provider = provider_of(generate, embed=fail, images=fail, speech=fail, transcribe=fail)
    async with running([provider]) as server:
        for name in BODIES:
            for stream in (True, False):
                answer = await server.ask("POST", *with_model(name, "one", stream=stream))
                assert KEY not in answer.body.decode()
                assert "10.1.2.3" not in answer.body.decode()
        for path in ("/v1/embeddings", "/v1/images/generations", "/v1/audio/speech", "/api/embed"):
            answer = await server.ask("POST", path, {"model": "one", "input": "x", "prompt": "x"})
            assert KEY not in answer.body.decode()
            assert "/srv" not in answer.body.decode()
    assert KEY not in caplog.text
    assert "10.1.2.3" not in caplog.text


async def test_refusals_have_the_form_of_their_dialect_and_say_little(keys: Path) -> None:
    add_key(keys, "laptop")
    async with running([provider_of(lambda *args, **keywords: None)], keys_file=keys) as server:
        for path in [*paths(), "/nowhere", "/v1/nowhere", "/v1beta/nowhere", "/api/nowhere"]:
            for method in ("GET", "POST", "DELETE"):
                answer = await server.ask(method, path)
                if answer.status < 400:
                    continue
                value = answer.json()
                assert "error" in value, (path, answer.body)
                assert len(answer.body) < 400
                assert answer.header("x-content-type-options") == "nosniff"
                assert answer.header("server") is None


async def test_a_stored_prompt_is_in_the_state_file_and_gone_when_it_is_deleted(tmp_path: Path, keys: Path) -> None:
    """The one place where a prompt rests: only for responses that are kept, in a file for its owner alone."""
    key = {"x-api-key": add_key(keys, "laptop")}
    state = tmp_path / "state.db"

    def resting() -> bool:
        return any(PROMPT.encode() in each.read_bytes() for each in tmp_path.rglob("state.db*"))

    async def generate(model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        yield "Hi"

    async with running([provider_of(generate)], keys_file=keys, state_file=state) as server:
        path, body = conversation("openai_responses", "one")
        assert (await server.ask("POST", path, {**body, "store": False}, headers=key)).status == 200
        assert not resting()
        made = (await server.ask("POST", path, body, headers=key)).json()
        assert resting()
        if os.name == "posix":
            assert {each.stat().st_mode & 0o077 for each in tmp_path.rglob("state.db*")} == {0}
        assert (await server.ask("DELETE", f"{path}/{made['id']}", headers=key)).status == 200
    assert not resting()


def test_reprs_of_what_holds_requests_show_nothing() -> None:
    from backstream.dialects.names import dialect_for

    for name in ROWS:
        path, body = conversation(name)
        request = dialect_for(name).parse_request(body, path)
        text = repr(request) + str(request)
        assert PICTURE[:40] not in text


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_a_key_is_in_nobodys_arguments(tmp_path: Path) -> None:
    """``keys add`` prints it once; what is listed of processes never has it, and neither has what is listed of keys."""
    script = Path(sys.executable).with_name("backstream")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    run = functools.partial(subprocess.run, env=environment, capture_output=True, text=True, check=True)
    added = run([script, "keys", "add", "laptop"])
    key = next(word for word in added.stdout.split() if word.startswith("bsk_"))
    listed = run([script, "keys", "list"])
    assert "laptop" in listed.stdout
    assert key not in listed.stdout + listed.stderr + added.stderr
    assert not any(key.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_address_without_keys_is_refused_with_exit_code_2(host: str, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("backstream")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [script, "serve", "--host", host, "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done.stderr
    assert "without client keys" in done.stderr
    assert "backstream keys add" in done.stderr
    assert "Traceback" not in done.stderr
