"""``backstream models``: what there is to talk to; here for servers, whose lists may have any shape."""

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
@click.argument("name", required=False, metavar="[PROVIDER]")
@click.option("--provider", metavar="NAME", help="The same as PROVIDER; see: backstream providers.")
@click.option("--refresh", is_flag=True, help="Ask also where a list is known that is less than a day old.")
@click.option("--url", metavar="URL", help="A server of the backend-api protocol. Default: $BACKSTREAM_URL.")
@click.option("--server-key-env", metavar="NAME", help="The environment variable that holds the server's own key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what is known, or what the server answered.")
@verbose_option
def command(
    name: str | None,
    *,
    provider: str | None,
    refresh: bool,
    url: str | None,
    server_key_env: str | None,
    as_json: bool,
) -> None:
    """List the models there are.

    Those of PROVIDER, or of all that can be asked: local servers that run, and providers with a key. With --url or
    BACKSTREAM_URL those of that server, or of one PROVIDER behind it.

    \b
    Examples:
      backstream models
      backstream models openai --refresh
      backstream models --url http://127.0.0.1:8080 --json
    """  # noqa: D301 - click reads \b
    from backstream.cli.call import backend_at, check_text, read_key, server_url
    from backstream.cli.listing import list_models
    from backstream.cli.logs import show_warnings
    from backstream.cli.running import run

    if name is not None and provider is not None and name != provider:
        raise click.UsageError("PROVIDER and --provider name two; name one")
    provider = provider or name
    check_text("the provider's name", provider)
    check_text("--url", url)
    show_warnings()
    if server_url(url) is None:
        run(list_models(provider, refresh=refresh, as_json=as_json))
    else:
        found = run(_fetch(backend_at(url, read_key(server_key_env)), provider))
        _print(found, provider, as_json=as_json)


def _print(found: Any, provider: str | None, *, as_json: bool) -> None:
    from backstream.cli.tables import print_json, print_table

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
