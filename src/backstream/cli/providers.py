"""``backstream providers``: who there is to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option

__all__ = ["command"]


@click.command("providers", epilog=exits.EPILOG)
@click.option("--url", metavar="URL", help="A server of the backend-api protocol. Default: $BACKSTREAM_URL.")
@click.option("--server-key-env", metavar="NAME", help="The environment variable that holds the server's own key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what is known, or what the server answered.")
@verbose_option
def command(url: str | None, server_key_env: str | None, as_json: bool) -> None:
    """List the providers there are.

    Those there are names for: how each is spoken to, whether its key is there (never the key), and whether it runs, if
    it is one of this machine. With --url or BACKSTREAM_URL those behind that server.

    \b
    Examples:
      backstream providers
      backstream providers --url http://127.0.0.1:8080 --json
    """  # noqa: D301 - click reads \b
    from backstream.cli.call import backend_at, check_text, read_key, server_url
    from backstream.cli.listing import list_providers
    from backstream.cli.logs import show_warnings
    from backstream.cli.running import run
    from backstream.cli.tables import print_json, print_table

    check_text("--url", url)
    show_warnings()
    if server_url(url) is None:
        run(list_providers(as_json=as_json))
        return
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
