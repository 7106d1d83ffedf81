"""``backstream keys``: who may use this machine's server."""

from __future__ import annotations

from pathlib import Path

import click

from backstream.cli import exits
from backstream.cli.tables import print_table

__all__ = ["command"]

_file_option = click.option(
    "--keys-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The key file. Default: $XDG_CONFIG_HOME/backstream/keys.json.",
)


@click.group("keys", epilog=exits.EPILOG)
def command() -> None:
    """Make, list and remove keys for clients of the server.

    Where the key file holds a key, the server answers only to clients that send one. The file holds digests, never
    a key.

    \b
    Examples:
      backstream keys add laptop
      backstream keys list
      backstream keys remove laptop
    """  # noqa: D301 - click reads \b


@command.command("add")
@click.argument("name")
@_file_option
def add(name: str, keys_file: Path | None) -> None:
    """Make a key for NAME and print it. It cannot be shown again."""
    from backstream.server.keys import add_key, default_keys_path

    path = keys_file or default_keys_path()
    key = add_key(path, name)
    click.echo(key)
    click.echo(f"keep it now, it cannot be shown again; its digest is in {path}", err=True)


@command.command("list")
@_file_option
def list_(keys_file: Path | None) -> None:
    """List the keys there are: name, first characters, when made."""
    from backstream.server.keys import default_keys_path, list_keys

    path = keys_file or default_keys_path()
    records = list_keys(path)
    if not records:
        click.echo(f"there are no keys in {path}", err=True)
        return
    print_table(("NAME", "KEY", "MADE"), [(record.name, f"{record.prefix}…", record.created) for record in records])


@command.command("remove")
@click.argument("name")
@_file_option
def remove(name: str, keys_file: Path | None) -> None:
    """Remove the key of NAME."""
    from backstream.server.keys import default_keys_path, remove_key

    path = keys_file or default_keys_path()
    remove_key(path, name)
    click.echo(f"the key of {name} is removed from {path}", err=True)
