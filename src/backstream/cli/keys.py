"""``backstream keys``: who may use this machine's server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

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

_NONE: Final = "none"
F = TypeVar("F", bound=Callable[..., Any])


class _Count(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.3.2 on
    """A number from 1 on; or ``none``, for no limit."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == _NONE:
            return _NONE
        if not re.fullmatch("[1-9][0-9]{0,14}", value):
            self.fail(f"{value[:20]!r} is no whole number from 1 on", param, ctx)
        return int(value)


def _limit_options(command: F) -> F:
    """Add the options that are limits; ``none`` lifts one."""
    for name, words in (
        ("--tokens-per-day", "Tokens, read and written, in a day of UTC."),
        ("--concurrent-streams", "Answers at the same time."),
        ("--requests-per-minute", "Requests that ask a provider."),
    ):
        command = click.option(name, type=_Count(), help=words)(command)
    words = "Models it may use, such as 'openai/*,echo'; repeatable."
    return click.option("--models", multiple=True, metavar="PATTERN|none", help=words)(command)


@click.group("keys", epilog=exits.EPILOG)
def command() -> None:
    """Make, limit, list and remove keys for clients of the server.

    Where the key file holds a key, the server answers only to clients that send one. The file holds digests, never
    a key.

    \b
    Examples:
      backstream keys add laptop
      backstream keys add intern --models 'ollama/*' --requests-per-minute 20 --tokens-per-day 200000
      backstream keys limit intern --tokens-per-day none
      backstream keys list
      backstream keys remove laptop
    """  # noqa: D301 - click reads \b


@command.command("add")
@click.argument("name")
@_limit_options
@_file_option
def add(name: str, keys_file: Path | None, **limits: Any) -> None:
    """Make a key for NAME and print it. It cannot be shown again.

    Clients send it as the API key they are set up with. The first key closes the server to every client without one.
    What is not limited here is limited by the server's configuration, if at all.
    """
    from backstream.server.keys import add_key, default_keys_path

    path = keys_file or default_keys_path()
    key = add_key(path, name, _limits(limits)[0])
    click.echo(key)
    click.echo(f"keep it now, it cannot be shown again; its digest is in {path}", err=True)


@command.command("limit")
@click.argument("name")
@_limit_options
@_file_option
def limit(name: str, keys_file: Path | None, **limits: Any) -> None:
    """Change what the key of NAME may use.

    none lifts a limit, and what is not named stays. A running server knows within seconds.
    """
    from backstream.server.keys import default_keys_path, limit_key

    wanted, lifted = _limits(limits)
    if not any(limits.values()):
        raise click.UsageError("name a limit to change, for example --requests-per-minute 60")
    now = limit_key(keys_file or default_keys_path(), name, wanted, lift=lifted)
    click.echo(f"{name}: {_describe(now) or 'no limits of its own'}", err=True)


def _limits(given: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return the limits that options name, and the names of those they lift."""
    from backstream.registry.server_config import KeyLimits

    patterns = [pattern.strip() for text in given.pop("models") for pattern in text.split(",")]
    given["models"] = _NONE if patterns == [_NONE] else tuple(filter(None, patterns)) or None
    known = {name: value for name, value in given.items() if value is not None and value != _NONE}
    return KeyLimits(**known), [name for name, value in given.items() if value == _NONE]


def _describe(limits: Any) -> str:
    words = (
        (limits.requests_per_minute, "{} requests/minute"),
        (limits.concurrent_streams, "{} streams"),
        (limits.tokens_per_day, "{} tokens/day"),
        (limits.models and " ".join(limits.models), "models {}"),
    )
    return ", ".join(text.format(value) for value, text in words if value)


@command.command("list")
@_file_option
def list_(keys_file: Path | None) -> None:
    """List the keys there are, with limits of their own."""
    from backstream.server.keys import default_keys_path, list_keys

    path = keys_file or default_keys_path()
    records = list_keys(path)
    if not records:
        click.echo(f"there are no keys in {path}", err=True)
        return
    titles = ["NAME", "KEY", "MADE", "LIMITS"]
    rows = [[record.name, f"{record.prefix}…", record.created, _describe(record.limits)] for record in records]
    if not any(row[-1] for row in rows):
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    print_table(titles, rows)


@command.command("remove")
@click.argument("name")
@_file_option
def remove(name: str, keys_file: Path | None) -> None:
    """Remove the key of NAME.

    A running server that has lost its last key answers nobody; start it anew to open it to this machine.
    """
    from backstream.server.keys import default_keys_path, remove_key

    path = keys_file or default_keys_path()
    remove_key(path, name)
    click.echo(f"the key of {name} is removed from {path}", err=True)
