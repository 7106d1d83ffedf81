"""Who answers: a server that was named, a provider by its name, or the best there is. Finds, and sends no prompt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from backstream.cli.call import Call, backend_at, server_url
from backstream.cli.exits import say
from backstream.cli.saving import Origin
from backstream.cli.terminal import is_terminal
from backstream.credentials import Secret
from backstream.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ModelNotFoundError,
    ProviderError,
    ProxyError,
    RefusedError,
    TLSError,
    UnknownProviderError,
)
from backstream.registry.routes import route_named
from backstream.transport.url import is_loopback, parse_url

if TYPE_CHECKING:
    from backstream.client import Client
    from backstream.providers.table import Row
    from backstream.registry.registry import Registry

__all__ = ["BackEnd", "advise", "find_back_end", "introduce", "known_name", "public_url"]

ECHO: Final = "echo"
_GIVEN_KEY_HINT: Final = "check the key in the variable that --api-key-env names"
_NAMELESS_HINT: Final = "check --model and --url, which often ends in /v1"


class BackEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers.

    Attributes:
        name: Its name for people, with the model's.
        provider: What ``Client.stream`` takes as ``provider``.
        model: The model's name there; ``""`` for the provider's own choice. Several, or a routing list's name, where
            the next one is asked when one fails.
        reason: Why it was chosen, where nobody chose it.
        api_key: The key of this call; ``None`` for the provider's own.
        members: Further members of each request's body.
        url: Where it is; ``None`` for the embedded backend.
        headers: What is sent along where media of the answer are fetched.
        is_server: Whether it speaks the backend-api protocol: it keeps the state of a conversation itself.
        key_hint: What to do where the key is refused; ``None`` where the error itself tells.
    """

    name: str
    provider: Any
    model: str | Sequence[str] = ""
    reason: str | None = None
    api_key: Secret | None = None
    members: Mapping[str, Any] = {}
    url: str | None = None
    headers: Mapping[str, Any] = {}
    is_server: bool = False
    key_hint: str | None = None

    def __repr__(self) -> str:
        return f"<BackEnd {self.name}>"

    async def origin(self) -> Origin:
        """Return the only server that is asked for media of the answer."""
        from backstream.providers.embedded import embedded_url

        embedded = self.url is None and self.is_server
        return Origin(await embedded_url() if embedded else self.url or "", self.headers, None)


async def find_back_end(call: Call, client: Client) -> BackEnd:
    """Find who answers.

    Args:
        call: What was asked for.
        client: Knows names and the configuration.

    Raises:
        CallerError: There is no such provider or model, its key is missing, or the URL cannot work.
        ProviderError: Its list of models was needed to choose one, and could not be had.
    """
    url = server_url(call.url)
    if call.others:
        return await _several(call, client)
    if url is not None and call.dialect in (None, "backend_api"):
        return _server(call, url)
    registry = await client.registry()
    if url is not None:
        _check_no_server_key(call)
        return await _nameless(call, url, registry)
    reason = None
    if call.provider is None and route_named(call.model, registry.config.aliases, registry.config.routes):
        return _in_turn(call, [call.model])
    if call.provider is not None:
        name = await known_name(registry, call.provider)
        target = await registry.resolve(f"{name}/{call.model}")
    elif call.model:
        target = await registry.resolve(call.model)
    elif call.api_key is not None:
        raise ConfigurationError("--api-key-env does not say whose key it is", "name who gets it with --provider NAME")
    else:
        choice = await registry.default()
        target, reason = choice.target, choice.reason
    row = registry.row(target.provider)
    if row is None and target.provider == ECHO and not _is_plugin(registry, ECHO):
        return _embedded(call, target.model, reason)
    if row is not None and row.dialect == "backend_api":
        server_key = call.server_key or await _own_key(registry, row)
        model = target.model
        return _server(
            msgspec.structs.replace(call, model=model, provider=None, server_key=server_key), row.url, reason
        )
    _check_no_server_key(call)
    found = await registry.provider(target.provider, call.api_key)
    model = target.model
    if not model and getattr(found, "default_model", "") is None:
        model = await _pick(registry, target.provider)
        reason = reason or "picked from its list; name another with --model"
    return BackEnd(
        name=f"{target.provider}/{model}" if model else target.provider,
        provider=target.provider,
        model=model,
        reason=reason,
        api_key=call.api_key,
        url=row.url if row is not None else None,
        key_hint=_GIVEN_KEY_HINT if call.api_key else _key_hint(registry, row),
    )


async def _several(call: Call, client: Client) -> BackEnd:
    """Models that are asked one after the other: of one server or provider, or of several by their names."""
    if server_url(call.url) is None and call.provider is None:
        return _in_turn(call, [call.model, *call.others])
    first = await find_back_end(msgspec.structs.replace(call, others=()), client)
    name = ", then ".join([first.name, *call.others])
    return msgspec.structs.replace(first, name=name, model=[str(first.model), *call.others])


def _in_turn(call: Call, names: Sequence[str]) -> BackEnd:
    _check_no_server_key(call)
    if call.api_key is not None:
        raise ConfigurationError("--api-key-env does not say whose key it is", "name who gets it with --provider NAME")
    return BackEnd(name=", then ".join(names), provider=None, model=names if len(names) > 1 else names[0])


def _check_no_server_key(call: Call) -> None:
    if call.server_key is not None:
        raise ConfigurationError(
            "--server-key-env is for servers of the backend-api protocol", "name a provider's key with --api-key-env"
        )


async def known_name(registry: Registry, name: str) -> str:
    """Return a provider's name as the registry spells it.

    Raises:
        UnknownProviderError: There is none of that name.
    """
    known = await asyncio.to_thread(registry.providers)  # reads files, the first time
    for each in (name, name.lower()):
        if each in known:
            return each
    raise UnknownProviderError(name, known)


def _is_plugin(registry: Registry, name: str) -> bool:
    settings = registry.config.providers.get(name)
    return settings is not None and settings.plugin


def _server(call: Call, url: str, reason: str | None = None) -> BackEnd:
    from backstream.transport.session import check_url

    provider = backend_at(url, call.server_key)
    return BackEnd(
        name=public_url(check_url(url)),
        provider=provider,
        model=call.model,
        reason=reason,
        api_key=call.api_key,
        members=_behind(call),
        url=url,
        headers=provider.headers or {},
        is_server=True,
    )


def _behind(call: Call) -> Mapping[str, Any]:
    return {} if call.provider is None else {"provider": call.provider}


def _embedded(call: Call, model: str, reason: str | None) -> BackEnd:
    return BackEnd(
        name=f"{ECHO}/{model}" if model else ECHO,
        provider=backend_at(None),
        model=model,
        reason=reason or "",
        api_key=call.api_key,
        is_server=True,
    )


async def _nameless(call: Call, url: str, registry: Registry) -> BackEnd:
    """A server of another dialect, which has no name here."""
    provider = await registry.provider_at(url, dialect=call.dialect or "", api_key=call.api_key)
    model, reason = call.model, None
    if not model:
        model, reason = await _first(provider), "picked from its list; name another with --model"
    return BackEnd(
        name=f"{model} at {public_url(url)}",
        provider=provider,
        model=model,
        reason=reason,
        url=url,
        key_hint=_GIVEN_KEY_HINT if call.api_key else "name the variable that holds its key with --api-key-env NAME",
    )


async def _pick(registry: Registry, name: str) -> str:
    from backstream.registry.picking import pick_model

    row = registry.row(name)
    picked = pick_model(await registry.models(name), small=row is not None and not row.local_ports)
    if picked is None:
        raise ConfigurationError(f"{name} lists no model to talk to", f"name one with --model {name}/MODEL")
    return picked.id


async def _first(provider: Any) -> str:
    from backstream.registry.picking import pick_model

    picked = pick_model(await provider.list_models(), small=False)
    if picked is None:
        raise ConfigurationError("the server lists no model to talk to", "name one with --model")
    return picked.id


async def _own_key(registry: Registry, row: Row) -> Secret | None:
    from backstream.registry.keys import find_key

    return await find_key(row, None, registry.config.providers.get(row.name), use_keyring=False)


def _key_hint(registry: Registry, row: Row | None) -> str | None:
    if row is None:
        return None
    settings = registry.config.providers.get(row.name)
    variable = settings.key_variable if settings is not None else None
    variable = variable or next(iter(row.key_variables), None)
    where = f"the key in {variable}" if variable else "its key in backstream.toml"
    return f"check {where}, or name another variable with --api-key-env NAME"


def public_url(url: str) -> str:
    """Return a URL without user information and query."""
    return url.rpartition("@")[2].partition("?")[0]


def introduce(back_end: BackEnd) -> None:
    """Say who will answer: always where nobody said, or it is no language model; else where somebody may read along."""
    why = f": {back_end.reason}" if back_end.reason else ""
    if back_end.is_server and back_end.url is None:
        say(f"using {back_end.name}, the embedded backend (not a language model){why}")
    elif back_end.reason is not None:
        say(f"using {back_end.name}{why}")
    elif is_terminal(sys.stderr):
        say(f"{'talking to' if back_end.is_server else 'using'} {back_end.name}")


def advise(error: ProviderError, back_end: BackEnd) -> None:
    """Note on an error of a provider what to do about it; for a server the error itself tells the option."""
    if back_end.is_server or back_end.provider is None:
        return
    status = error.status if isinstance(error, RefusedError) else None
    who = back_end.provider if isinstance(back_end.provider, str) else None
    if isinstance(error, AuthenticationError):
        advice = back_end.key_hint
    elif isinstance(error, ModelNotFoundError):
        advice = f"list the models with: backstream models --provider {who}" if who else _NAMELESS_HINT
    elif isinstance(error, ConnectError) and not isinstance(error, TLSError | ProxyError) and back_end.url and who:
        advice = f"check that {who} runs at {public_url(back_end.url)}"
        if not is_loopback(parse_url(back_end.url).host):
            advice = f"check the network, and that {who} is at {public_url(back_end.url)}"
    elif status in (404, 405):
        advice = f"check the url of {who} (backstream providers shows it)" if who else "check --url and --dialect"
    else:
        advice = None
    if advice:
        error.add_note(advice)
