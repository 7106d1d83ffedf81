"""``backstream models``: what there is to talk to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option

__all__ = ["command"]


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
    from backstream.cli.call import backend_at, read_key
    from backstream.cli.running import run
    from backstream.cli.tables import print_json, print_table

    found = run(backend_at(url, read_key(server_key_env)).fetch_models(provider))
    if as_json:
        print_json(found)
    elif provider is None:
        print_table(("PROVIDER", "MODEL"), list(_all_rows(found)))
    else:
        rows = list(_rows(found))
        if not rows:
            exits.say(f"{provider} lists no models, or there is no such provider; see: backstream providers")
        print_table(("MODEL", "ABOUT"), rows)


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
