"""``backstream models``: what there is to talk to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option
from backstream.errors import ConfigurationError

if TYPE_CHECKING:
    from backstream.providers.backend_api import BackendApi

__all__ = ["command"]

_MOST_NAMES: Final = 20


@click.command("models", epilog=exits.EPILOG)
@click.argument("provider", required=False)
@click.option("--url", metavar="URL", help="The server. Default: $BACKSTREAM_URL, else the embedded backend.")
@click.option("--server-key-env", metavar="NAME", help="The environment variable that holds the server's own key.")
@click.option("--json", "as_json", is_flag=True, help="Print what the server answered, as JSON.")
@verbose_option
def command(provider: str | None, url: str | None, server_key_env: str | None, as_json: bool) -> None:
    """List the models of a server, or of one PROVIDER of it.

    \b
    Examples:
      backstream models
      backstream models Echo
      backstream models --url http://127.0.0.1:8080 --json
    """  # noqa: D301 - click reads \b
    from backstream.cli.call import backend_at, check_text, read_key
    from backstream.cli.running import run
    from backstream.cli.tables import print_json, print_table

    check_text("the provider's name", provider)
    check_text("--url", url)
    found = run(_fetch(backend_at(url, read_key(server_key_env)), provider))
    if as_json:
        print_json(found)
    elif provider is None:
        print_table(("PROVIDER", "MODEL"), list(_all_rows(found)))
    else:
        rows = list(_rows(found))
        if not rows:
            exits.say(f"{provider} lists no models")
        print_table(("MODEL", "ABOUT"), rows)


async def _fetch(backend: type[BackendApi], provider: str | None) -> Any:
    """Ask for models; the protocol answers an empty list also where there is no such provider.

    Raises:
        ConfigurationError: There is no such provider.
    """
    found = await backend.fetch_models(provider)
    if provider is None or found != []:
        return found
    listed = await backend.fetch_providers()
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    names = [name for entry in entries if isinstance(name := entry.get("name"), str) and name]
    if names and provider not in (*names, *(entry.get("label") for entry in entries)):
        raise ConfigurationError(f"there is no provider {provider!r}", f"use one of: {_some_of(names)}")
    return found


def _some_of(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMES
    more = f" and {rest} more (backstream providers lists them)" if rest > 0 else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _all_rows(found: Any) -> Iterable[tuple[str, str]]:
    """Read ``{provider: [model, …]}``; what has another shape is passed over."""
    if isinstance(found, Mapping):
        for name, models in found.items():
            yield from ((str(name), _name_of(model)) for model in (models if isinstance(models, list) else ()))


def _rows(found: Any) -> Iterable[tuple[str, str]]:
    for model in found if isinstance(found, list) else ():
        about = []
        if isinstance(model, Mapping):
            about = [word for word in ("default", "vision", "image", "audio", "video") if model.get(word) is True]
        yield _name_of(model), ", ".join(about)


def _name_of(model: Any) -> str:
    if isinstance(model, Mapping):
        return str(model.get("id") or model.get("model") or model.get("label") or "?")
    return str(model)
