"""``backstream providers``: who answers behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option

__all__ = ["command"]


@click.command("providers", epilog=exits.EPILOG)
@click.option("--url", metavar="URL", help="The server. Default: $BACKSTREAM_URL, else the embedded backend.")
@click.option("--server-key-env", metavar="NAME", help="The environment variable that holds the server's own key.")
@click.option("--json", "as_json", is_flag=True, help="Print what the server answered, as JSON.")
@verbose_option
def command(url: str | None, server_key_env: str | None, as_json: bool) -> None:
    """List the providers of a server.

    \b
    Examples:
      backstream providers
      backstream providers --url http://127.0.0.1:8080 --json
    """  # noqa: D301 - click reads \b
    from backstream.cli.call import backend_at, check_text, read_key
    from backstream.cli.running import run
    from backstream.cli.tables import print_json, print_table

    check_text("--url", url)
    found = run(backend_at(url, read_key(server_key_env)).fetch_providers())
    if as_json:
        print_json(found)
    else:
        print_table(("NAME", "LABEL", "ABOUT"), list(_rows(found)))


def _rows(found: Any) -> Iterable[tuple[str, str, str]]:
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, Mapping):
            about = [word for word in ("vision", "image", "audio", "video") if entry.get(word)]
            about += ["needs a key"] * bool(entry.get("auth"))
            name = str(entry.get("name") or "?")
            yield name, str(entry.get("label") or name), ", ".join(about)
