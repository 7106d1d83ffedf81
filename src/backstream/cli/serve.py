"""``backstream serve``: this machine as a server of the backend-api protocol."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from backstream.cli import exits
from backstream.cli.logs import LogForm, show_requests, verbose_option
from backstream.errors import ConfigurationError

__all__ = ["command"]


@click.command("serve", epilog=exits.EPILOG)
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Instead of the usual.")
@click.option("--host", metavar="HOST", help="Where to listen; not loopback only with keys. Default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="0 for a free one. Default 8080.")
@click.option("--framing", type=click.Choice(["auto", "sse", "jsonl"]), help="Form of streams. Default auto.")
@click.option("--allow-origin", multiple=True, metavar="ORIGIN", help="Let pages of that origin in; repeatable.")
@click.option("--allow-host", multiple=True, metavar="HOST", help="Answer to that Host name too; repeatable.")
@click.option("--keys-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Client keys.")
@click.option("--max-body-mib", type=click.IntRange(1), metavar="N", help="Cap on the JSON of a request. Default 64.")
@click.option("--max-media-mib", type=click.IntRange(1), metavar="N", help="Cap on a request's media. Default 2048.")
@click.option("--max-streams", type=click.IntRange(1), metavar="N", help="Answers at the same time. Default 256.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="N", help="Seconds for answers to end. Default 20, Ctrl-C 0.5."
)
@click.option("--relay", multiple=True, metavar="NAME=URL", help="Pass on to another such server; repeatable.")
@click.option("--provider", multiple=True, metavar="MODULE:CLASS", help="Serve a provider of yours; repeatable.")
@click.option("--log", type=click.Choice(["text", "json", "off"]), help="A line for each request. Default text.")
@verbose_option
def command(
    *,
    config_file: Path | None,
    host: str | None,
    port: int | None,
    framing: str | None,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    keys_file: Path | None,
    max_body_mib: int | None,
    max_media_mib: int | None,
    max_streams: int | None,
    grace: float | None,
    relay: tuple[str, ...],
    provider: tuple[str, ...],
    log: LogForm | None,
) -> int:
    """Serve clients of every dialect until Ctrl-C.

    OpenAI, Anthropic, Gemini, Ollama and g4f: their programs need another base URL and nothing else.

    Answers with Echo, which is not a language model, and for models named PROVIDER/MODEL with every provider that is
    configured, runs on this machine, or has a key in the environment. --relay and --provider name others instead; the
    first one is the default. Listens on this machine only; elsewhere it needs client keys (backstream keys add NAME).
    What is not said here may stand in backstream.toml ([server], [keys], [routes]); SIGHUP reads that file again.

    \b
    Examples:
      backstream serve
      backstream serve --port 9000 --relay Home=http://127.0.0.1:8080
      backstream serve --provider mymodule:MyProvider --provider backstream:Echo
      backstream keys add laptop && backstream serve --host 0.0.0.0
    """  # noqa: D301 - click reads \b
    from backstream.cli.serving import first_of, load_served
    from backstream.server.app import create_app
    from backstream.server.reload import Reloader
    from backstream.server.run import serve
    from backstream.server.telemetry_choice import choose_telemetry

    providers = _providers(relay, provider)
    load = functools.partial(
        load_served,
        config_file,
        with_registry=providers is None,
        framing=framing,
        allow_origins=tuple(allow_origin) or None,
        allowed_hosts=tuple(allow_host) or None,
        keys_file=keys_file,
        max_streams=max_streams,
        max_body_mib=max_body_mib,
        max_media_mib=max_media_mib,
        telemetry=choose_telemetry(os.environ),
    )
    show_requests(log or "text")
    loaded = load()
    server, registry = loaded.config.server, loaded.registry
    show_requests(first_of(log, server.log, "text"))
    app = create_app(providers, loaded.settings, registry=registry)
    host = first_of(host, server.host, "127.0.0.1")
    port = first_of(port, server.port, 8080)
    grace = grace if grace is not None else server.grace_seconds

    def on_ready(url: str) -> None:
        click.echo(f"listening on {url}", err=True)
        click.echo(f"base URLs: OpenAI {url}/v1; Anthropic, Gemini, Ollama and g4f {url}", err=True)
        keyed = registry.keyed() if registry is not None else ()
        if keyed:
            click.echo(f"with your keys: {', '.join(keyed)}; name a model as {keyed[0]}/MODEL", err=True)

    ended_by = asyncio.run(
        serve(app, host, port, on_ready=on_ready, on_reload=Reloader(load, loaded), grace_seconds=grace)
    )
    return exits.INTERRUPTED if ended_by == signal.SIGINT else exits.OK


def _providers(relays: Sequence[str], names: Sequence[str]) -> list[Any] | None:
    """Return the providers named; ``None`` for the built-in one."""
    return [*map(_relay, relays), *map(_import, names)] or None


def _relay(pair: str) -> Any:
    from backstream.providers.backend_api import BackendApi
    from backstream.transport.session import check_url

    name, _, url = pair.partition("=")
    if not name.isidentifier() or not url:
        raise ConfigurationError("--relay wants NAME=URL", "for example --relay Home=http://127.0.0.1:8080")
    return type(name, (BackendApi,), {"url": check_url(url)})


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigurationError("--provider wants MODULE:CLASS", "for example --provider backstream:Echo")
    sys.path.insert(0, "")  # as `python -m` does: modules of the working directory
    try:
        provider = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the provider {name} cannot be imported ({type(error).__name__})", "check the module and the class"
        ) from error
    finally:
        sys.path.remove("")
    if not callable(getattr(provider, "create_async_generator", None)):
        raise ConfigurationError(f"{name} is no provider", "it needs create_async_generator")
    return provider
