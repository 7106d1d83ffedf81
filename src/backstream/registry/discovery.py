"""What there is to use without being told: servers on this machine's usual ports, and keys in the environment.

Only 127.0.0.1 is asked, no key is ever sent, and an answer must be of the kind of server it is taken for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from backstream.errors import ProviderError
from backstream.models import ModelInfo
from backstream.options import Deadlines
from backstream.providers.table import Row
from backstream.registry.config import Config
from backstream.registry.keys import key_in_sight
from backstream.registry.names import Target
from backstream.registry.picking import pick_model
from backstream.transport.session import StreamSession
from backstream.transport.url import parse_url

__all__ = ["Choice", "Found", "choose_default", "probe"]

_MOST_BYTES: Final = 4 * 1024 * 1024
_NAME_THEMSELVES: Final = frozenset({"llamacpp", "vllm", "sglang"})
"""Servers whose list of models says in ``owned_by`` what they are; one that says nothing is none of them.

Source: the model list of each in its own public source (llama.cpp ``tools/server``, vLLM and SGLang
``entrypoints/openai``).
"""


class Found(msgspec.Struct, frozen=True):
    """A server that runs on this machine.

    Attributes:
        row: Its row, with the URL it was found at.
        models: The names of its models, the most recent first where it says so.
    """

    row: Row
    models: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where it is."""
        return self.row.url


class Choice(msgspec.Struct, frozen=True):
    """The model that answers where none was named.

    Attributes:
        target: The model and its provider.
        reason: Why that one, for people; one line.
    """

    target: Target
    reason: str


async def probe(rows: Iterable[Row], *, timeout_seconds: float = 0.3) -> Sequence[Found]:
    """Look for servers on the loopback ports of rows, all at once.

    Args:
        rows: The providers to look for; those without ``local_ports`` are passed over.
        timeout_seconds: The total deadline of it all, in seconds. Default 0.3.

    Returns:
        What was found, one for each port, the surest first: Ollama, then servers that name themselves.
    """
    local = [row for row in rows if row.local_ports]
    tries = dict.fromkeys((port, row.dialect) for row in local for port in row.local_ports)
    session = StreamSession(proxy="", deadlines=Deadlines(connect=timeout_seconds, total=timeout_seconds))
    asking = [asyncio.ensure_future(_identify(session, port, dialect, local)) for port, dialect in tries]
    try:
        if asking:
            await asyncio.wait(asking, timeout=timeout_seconds)
    finally:  # who has not answered by now is not there
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    answers = [task.result() for task in asking if not task.cancelled() and task.exception() is None]
    surest: dict[int, Found] = {}
    for found in sorted(filter(None, answers), key=_rank):
        surest.setdefault(parse_url(found.url).port, found)
    return list(surest.values())


def _rank(found: Found) -> int:
    """Rank an answer, the surest first: some servers also answer in dialects that are not their own."""
    if found.row.dialect == "openai_chat":
        return 1 if _plain(found.row.name) in _NAME_THEMSELVES else 3
    return 0 if found.row.dialect == "ollama" else 2


async def _identify(session: StreamSession, port: int, dialect: str, local: Sequence[Row]) -> Found | None:
    """Ask one port, in one dialect, what it is."""
    here = [row for row in local if row.dialect == dialect and port in row.local_ports]
    identify = {"ollama": _ollama, "openai_chat": _openai, "backend_api": _backend_api}.get(dialect)
    try:
        return None if identify is None else await identify(session, port, here, local)
    except ProviderError:  # nobody there, or somebody else
        return None


async def _ollama(session: StreamSession, port: int, here: Sequence[Row], local: Sequence[Row]) -> Found | None:
    row = _at(here[0], port)
    version = await _get(session, f"{_origin(row)}/api/version")
    if not isinstance(version, dict) or not isinstance(version.get("version"), str):
        return None
    tags = await _get(session, f"{_origin(row)}/api/tags")
    names = [each["name"] for each in _entries(tags, "models") if isinstance(each.get("name"), str)]
    return Found(row, tuple(names))


async def _openai(session: StreamSession, port: int, here: Sequence[Row], local: Sequence[Row]) -> Found | None:
    answer = await _get(session, _at(here[0], port).url + (here[0].models_path or "/models"))
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        return None
    models = [each for each in _entries(answer, "data") if isinstance(each.get("id"), str)]
    owners = {_plain(str(each.get("owned_by", ""))) for each in models}
    named = [row for row in local if _plain(row.name) in owners & _NAME_THEMSELVES and row.dialect == "openai_chat"]
    silent = [row for row in here if _plain(row.name) not in _NAME_THEMSELVES]
    row = next(iter([*named, *silent]), None)
    return None if row is None else Found(_at(row, port), tuple(each["id"] for each in models))


async def _backend_api(session: StreamSession, port: int, here: Sequence[Row], local: Sequence[Row]) -> Found | None:
    row = _at(here[0], port)
    # without cache=true a g4f server asks the network for its newest version
    version = await _get(session, f"{_origin(row)}/backend-api/v2/version?cache=true")
    if not isinstance(version, dict) or "version" not in version:
        return None
    try:
        ours = await _get(session, f"{_origin(row)}/healthz") == {"status": "ok"}
    except ProviderError:
        ours = False
    wanted = next((each for each in here if (each.name == "backstream") is ours), None)
    return None if wanted is None else Found(_at(wanted, port))


async def _get(session: StreamSession, url: str) -> Any:
    async with session.get(url, headers={"Accept": "application/json"}) as response:
        response.raise_for_status()
        return await response.json(max_bytes=_MOST_BYTES)


def _entries(answer: object, member: str) -> list[dict[str, Any]]:
    found = answer.get(member) if isinstance(answer, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _origin(row: Row) -> str:
    return parse_url(row.url).origin


def _at(row: Row, port: int) -> Row:
    path = parse_url(row.url).target.rstrip("/")
    return msgspec.structs.replace(row, url=f"http://127.0.0.1:{port}{path}")


async def choose_default(
    rows: Mapping[str, Row],
    config: Config,
    environ: Mapping[str, str],
    found: Sequence[Found],
    list_models: Callable[[str], Awaitable[Sequence[ModelInfo]]],
) -> Choice:
    """Choose who answers where no model was named or configured.

    The gateway whose address is in the environment; else the running model server, Ollama first; else the configured
    provider, then the first of the table whose key is in the environment, with its default model or a small one of its
    list; else a running gateway, which may hand on to anybody; else ``echo``.

    Args:
        rows: Every provider, in the order of the table.
        config: What was configured.
        environ: The environment.
        found: The servers that run.
        list_models: Gives the models of a provider; an empty list where they cannot be had.
    """
    for row in rows.values():
        if row.dialect == "backend_api" and row.url_variable and environ.get(row.url_variable, "").strip():
            return Choice(Target(row.name, _own_model(row, config) or ""), f"{row.url_variable} is set")
    hints = []
    gateways = [server for server in found if server.row.dialect == "backend_api"]
    for server in found:
        if server not in gateways:
            name, here = server.row.name, f"{server.row.label} runs at {server.url}"
            if model := _own_model(server.row, config) or _first(server.models):
                return Choice(Target(name, model), here)
            hints.append(f"{here}, but has no model to talk to")
    for name, seen in _with_keys(rows, config, environ):
        model = _own_model(rows[name], config)
        if model is None and (picked := pick_model(await list_models(name))) is not None:
            model = picked.id
        if model is not None:
            return Choice(Target(name, model), seen)
        hints.append(f"{seen}, but which model of {name} to take is not")
    for server in gateways:
        model = _own_model(server.row, config) or ""
        return Choice(Target(server.row.name, model), f"{server.row.label} runs at {server.url}")
    return Choice(Target("echo", ""), "; ".join(hints) or "no local server runs, and no key is set")


def _own_model(row: Row, config: Config) -> str | None:
    settings = config.providers.get(row.name)
    return row.default_model or (settings.models[0] if settings is not None and settings.models else None)


def _first(models: Sequence[str]) -> str | None:
    picked = pick_model([ModelInfo(id=name) for name in models], small=False)
    return picked.id if picked is not None else None


def _with_keys(rows: Mapping[str, Row], config: Config, environ: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Give each provider with a key, and how that is seen; of several rows of one server the first."""
    servers = set()
    for name in dict.fromkeys([*config.providers, *rows]):
        if name not in rows or not rows[name].url or rows[name].url in servers:
            continue
        settings = config.providers.get(name)
        seen = key_in_sight(rows[name], settings, environ)
        if seen is None and settings is not None and settings.url is not None and not rows[name].key_needed:
            seen = f"{name} is configured"
        if seen is not None:
            servers.add(rows[name].url)
            yield name, seen
