"""What the registry knows, as tables: models and providers. Knows no option."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from backstream.cli.backends import ECHO, BackEnd, advise, known_name, public_url
from backstream.cli.exits import say
from backstream.cli.tables import print_json, print_table
from backstream.client import Client
from backstream.errors import ConfigurationError, MissingKeyError, ProviderError
from backstream.models import ModelInfo
from backstream.registry.keys import key_in_sight
from backstream.registry.registry import Registry

__all__ = ["list_models", "list_providers"]

_SHORT: Final = {True: "yes", False: "no", None: ""}


async def list_models(provider: str | None, *, refresh: bool, as_json: bool) -> None:
    """Print the models of a provider, or of all that can be asked; those of Echo where nobody can.

    Args:
        provider: Its name; ``None`` for all.
        refresh: Ask also where a list is known.
        as_json: All that is known, as JSON, instead of a table.

    Raises:
        CallerError: There is no such provider, or its key is missing.
        ProviderError: It could not be asked.
    """
    async with Client() as client:
        registry = await client.registry()
        name = None if provider is None else await known_name(registry, provider)
        try:
            found = await client.models(name, refresh=refresh)
        except MissingKeyError as error:
            raise ConfigurationError(error.problem, f"set {error.variable}") from None
        except ProviderError as error:
            row = registry.row(name or "")
            hint = None if row is None else f"check the key in {next(iter(row.key_variables), 'backstream.toml')}"
            advise(error, BackEnd(name=name or "", provider=name, url=row.url if row else None, key_hint=hint))
            raise
        if name is None and not found:
            say("nobody else can be asked (see: backstream providers); Echo is no language model")
            found = await client.models(ECHO)
    if as_json:
        print_json([_plain(model) for model in found])
    elif found:
        _print_models(found)
    else:
        say(f"{name} lists no models")


def _plain(model: ModelInfo) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(model, raw={}))
    return {"name": model.name, **known}


def _print_models(models: Sequence[ModelInfo]) -> None:
    """Print a table, without the columns of which nothing is known."""
    titles = ("MODEL", "CONTEXT", "TAKES", "MAKES", "TOOLS", "REASONING")
    columns = [
        [model.name for model in models],
        [f"{model.context_tokens:,}" if model.context_tokens else "" for model in models],
        [" ".join(model.input_modalities or ()) for model in models],
        [" ".join(model.output_modalities or ()) for model in models],
        [_SHORT[model.tools] for model in models],
        [_SHORT[model.reasoning] for model in models],
    ]
    kept = [(title, column) for title, column in zip(titles, columns, strict=True) if any(column)]
    print_table([title for title, _ in kept], list(zip(*(column for _, column in kept), strict=True)))


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of one provider; never its key."""

    name: str
    dialect: str
    url: str = ""
    url_variable: str | None = None
    key_needed: bool = False
    key_variable: str | None = None
    key_seen: str | None = None
    runs: bool | None = None

    def cells(self) -> tuple[str, ...]:
        url = self.url or (f"set {self.url_variable}" if self.url_variable else "")
        return self.name, self.dialect, self._key(), _SHORT[self.runs], url

    def _key(self) -> str:
        if self.key_seen is not None:
            return f"yes: {self.key_seen}"
        if not self.key_needed:
            return "not needed"
        return f"no: set {self.key_variable}" if self.key_variable else "no"


async def list_providers(*, as_json: bool) -> None:
    """Print the providers there are names for.

    Args:
        as_json: As JSON instead of a table.
    """
    async with Client() as client:
        registry = await client.registry()
        names = await asyncio.to_thread(registry.providers)
        running = {found.row.name for found in await registry.discover()}
        rows = [_describe(registry, name, running) for name in names]
    if as_json:
        print_json(rows)
    else:
        print_table(("NAME", "DIALECT", "KEY", "RUNS", "URL"), [row.cells() for row in rows])


def _describe(registry: Registry, name: str, running: set[str]) -> _Row:
    row = registry.row(name)
    if row is None:
        return _Row(name=name, dialect="in this process" if name == ECHO else "installed package")
    settings = registry.config.providers.get(name)
    own = settings.key_variable if settings is not None else None
    return _Row(
        name=name,
        dialect=row.dialect,
        url=public_url(row.url),
        url_variable=row.url_variable,
        key_needed=row.key_needed,
        key_variable=own or next(iter(row.key_variables), None),
        key_seen=key_in_sight(row, settings, os.environ),
        runs=name in running if row.local_ports else None,
    )
