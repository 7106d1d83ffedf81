"""``backstream config``: whether ``backstream.toml`` is right, and what would be served by it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from backstream.cli import exits
from backstream.errors import ConfigurationError

if TYPE_CHECKING:
    from backstream.registry.config import Config
    from backstream.registry.registry import Registry
    from backstream.registry.server_config import KeyLimits
    from backstream.server.reload import Loaded

__all__ = ["command"]

_DASH = "-"


@click.group("config", epilog=exits.EPILOG)
def command() -> None:
    """Look at the configuration.

    \b
    Examples:
      backstream config path
      backstream config check
      backstream config check ./backstream.toml
    """  # noqa: D301 - click reads \b


@command.command("path")
def path() -> None:
    """Print the file that is read, if there is one."""
    from backstream.registry.config import find_config

    found, _ = find_config()
    if found is None:
        raise ConfigurationError("there is no configuration file", "make one, or name one in BACKSTREAM_CONFIG")
    click.echo(exits.readable(str(found)))


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> int:
    """Print what serve would do, or what is wrong.

    FILE is the configuration; without it the file that serve reads. One mistake may hide another, so check again after
    mending. Asks nobody, and shows no key.
    """
    from backstream.cli.tables import print_table
    from backstream.registry.config import load_config
    from backstream.server.doubts import limits_of_nobody

    problems: list[ConfigurationError] = []
    loaded: Loaded | None = None
    with _noted(problems):
        config = load_config(file, problems=problems)
        if not problems:
            loaded = _serve_in_thought(config, problems)
    if problems or loaded is None:
        for problem in dict.fromkeys(map(str, problems)):
            click.echo(exits.readable(problem))
        return exits.USAGE
    for doubt in limits_of_nobody(loaded.config, loaded.settings):
        click.echo(exits.readable(f"warning: {doubt}"), err=True)
    print_table(("WHAT", "IS"), list(_told(loaded)))
    return exits.OK


@contextlib.contextmanager
def _noted(problems: list[ConfigurationError], config: Config | None = None, key: str = "") -> Iterator[None]:
    """Keep what is wrong, with the place of the key it comes from."""
    try:
        yield
    except ConfigurationError as error:
        if config is not None and config.document is not None:
            error = config.error(["server", key], f"is wrong: {error.problem}", error.remedy)
        problems.append(error)


def _serve_in_thought(config: Config, problems: list[ConfigurationError]) -> Loaded | None:
    """Do all that serve does before it listens."""
    from backstream.cli.serving import place_of, served
    from backstream.server.app import create_app
    from backstream.server.configured import doubtful_routes
    from backstream.server.doubts import unusable_key_files
    from backstream.server.run import check_exposure
    from backstream.server.tls import ServerTLS

    loaded = served(config)
    assert loaded.registry is not None
    problems += doubtful_routes(config, loaded.registry.providers())
    problems += unusable_key_files(config)
    app = create_app(None, msgspec.structs.replace(loaded.settings, state_file=None), registry=loaded.registry)
    place = place_of(config.server)
    with _noted(problems, config, "host"):
        check_exposure(app, place)
    if place.tls is not None:
        with _noted(problems, config, "tls_cert"):
            ServerTLS(place.tls)
    return loaded


def _told(loaded: Loaded) -> Iterator[tuple[str, str]]:
    from backstream.cli.serving import place_of

    config, settings, registry = loaded.config, loaded.settings, loaded.registry
    assert registry is not None
    yield "file", str(config.document.path) if config.document is not None else "none: the defaults hold"
    place = place_of(config.server)
    yield "listens on", place.url(place.port)
    yield "client keys", _client_keys(loaded)
    yield "with a key", ", ".join(registry.keyed()) or _DASH
    yield "without a key", ", ".join(_keyless(config, registry)) or _DASH
    for name, alias in config.aliases.items():
        yield f"alias {name}", alias
    for name, route in config.routes.items():
        yield f"route {name}", ", ".join(route.to)
    yield "limits", f"{settings.max_streams} streams, {settings.max_streams_per_key} for one key"
    if limits := _limits(settings.default_key_limits):
        yield "every key", limits
    for name, key in settings.key_limits.items():
        yield f"key {name}", _limits(key) or "no limits of its own"


def _client_keys(loaded: Loaded) -> str:
    from backstream.server.keys import list_keys

    file = loaded.settings.keys_file
    in_file = len(list_keys(file)) if file is not None else 0
    here = len(loaded.settings.key_digests)
    if not in_file and not here:
        return "none: this machine only"
    return ", ".join([*([f"{in_file} in {file}"] if in_file else []), *([f"{here} here"] if here else [])])


def _keyless(config: Config, registry: Registry) -> Sequence[str]:
    """Return the configured providers that need a key and have none in sight."""
    keyed = registry.keyed()
    rows = {name: registry.row(name) for name in config.providers}
    return [name for name, row in rows.items() if row is not None and row.key_needed and name not in keyed]


def _limits(limits: KeyLimits) -> str:
    said: Mapping[str, object] = msgspec.structs.asdict(limits)
    return ", ".join(
        f"{name} {' '.join(value) if isinstance(value, tuple) else value}"
        for name, value in said.items()
        if value is not None
    )
