"""``backstream serve``: this machine as a gateway for clients of every dialect."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from backstream.cli import exits
from backstream.cli.logs import LogForm, show_requests, verbose_option
from backstream.cli.terminal import can_style
from backstream.errors import ConfigurationError

if TYPE_CHECKING:
    from backstream.server.place import Place
    from backstream.server.reload import Loaded, Reloader
    from backstream.server.run import Conduct

__all__ = ["command"]

_HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared
"""Where clients on this machine reach a server that listens on every address."""
_OPTIONS = {"grace_seconds": "grace"}
"""The options that have other names than the keys of the file."""


def _mode(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    if text is not None and re.fullmatch("0?[0-7]{3}", text) is None:
        raise click.BadParameter(f"{text[:20]!r} is no mode such as 660")
    return None if text is None else int(text, 8)


@click.command("serve", epilog=exits.EPILOG)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings. Default: backstream config path.",
)
@click.option("--host", metavar="HOST", help="Where to listen. Default 127.0.0.1: this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="0 for a free one. Default 8080.")
@click.option("--socket", type=click.Path(path_type=Path), metavar="PATH", help="Listen on a Unix socket instead.")
@click.option("--socket-mode", callback=_mode, metavar="MODE", help="Who may use it. Default 600: this user.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Speak TLS: the certificates, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The key of the first of them, PEM.")
@click.option("--workers", type=click.IntRange(1, 256), metavar="N", help="Processes. Default 1.")
@click.option("--root-path", metavar="/PREFIX", help="The path at which a proxy shows this server.")
@click.option("--trusted-proxy", multiple=True, metavar="ADDRESS", help="Believe its X-Forwarded-…; repeatable.")
@click.option("--framing", type=click.Choice(["auto", "sse", "jsonl"]), help="Form of streams for g4f. Default auto.")
@click.option("--allow-origin", multiple=True, metavar="ORIGIN", help="Let pages of that origin in; repeatable.")
@click.option("--allow-host", multiple=True, metavar="HOST", help="Answer to that name too; repeatable.")
@click.option(
    "--keys-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Client keys, of backstream keys.",
)
@click.option("--max-body-mib", type=click.IntRange(1), metavar="N", help="Cap on the JSON of a request. Default 64.")
@click.option("--max-media-mib", type=click.IntRange(1), metavar="N", help="Cap on a request's media. Default 2048.")
@click.option("--max-streams", type=click.IntRange(1), metavar="N", help="Answers at the same time. Default 256.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="N", help="Seconds for answers to end. Default 20, Ctrl-C 0.5."
)
@click.option("--relay", multiple=True, metavar="NAME=URL", help="Pass on to a g4f or backstream server; repeatable.")
@click.option("--provider", multiple=True, metavar="MODULE:CLASS", help="Serve a provider of yours; repeatable.")
@click.option("--log", type=click.Choice(["text", "json", "off"]), help="A line for each request. Default text.")
@verbose_option
def command(
    *,
    config_file: Path | None,
    host: str | None,
    port: int | None,
    socket: Path | None,
    socket_mode: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    workers: int | None,
    root_path: str | None,
    trusted_proxy: tuple[str, ...],
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

    Ctrl-C and SIGTERM let running answers end, for as long as --grace says; said again, they end at once. A proxy on
    this machine must be named with --trusted-proxy, else its clients count as this machine ("unix" on a socket).

    \b
    Examples:
      backstream serve
      backstream serve --port 9000 --relay Home=http://127.0.0.1:8080
      backstream serve --provider mymodule:MyProvider --provider backstream:Echo
      backstream keys add laptop && backstream serve --host 0.0.0.0
    """  # noqa: D301 - click reads \b
    from backstream.cli.serving import first_of, load_served, place_of
    from backstream.server.configured import FIXED
    from backstream.server.notify import tell_service_manager
    from backstream.server.reload import Reloader
    from backstream.server.run import Conduct
    from backstream.server.telemetry_choice import choose_telemetry

    providers = _providers(relay, provider)
    load = functools.partial(
        load_served,
        config_file,
        with_registry=providers is None,
        framing=framing,
        root_path=root_path,
        trusted_proxies=tuple(trusted_proxy) or None,
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
    place = place_of(server, host=host, port=port, socket=socket, tls_cert=tls_cert, tls_key=tls_key)
    if socket_mode is not None:
        place = msgspec.structs.replace(place, socket_mode=socket_mode)

    def on_ready(url: str) -> None:
        tell_service_manager("READY=1")
        click.echo(f"listening on {url}", err=True)
        if loaded.config.document is not None:
            click.echo(f"settings: {exits.readable(str(loaded.config.document.path))}", err=True)
        if url.startswith("unix:"):
            click.echo(f"try: curl --unix-socket {url.removeprefix('unix:')} http://localhost/v1/models", err=True)
        else:
            here = re.sub(r"//(0\.0\.0\.0|\[::\]):", lambda any_: f"//{_HERE[any_[1]]}:", url)
            click.echo(f"base URL for OpenAI: {here}/v1", err=True)
            click.echo(f"for Anthropic, Gemini, Mistral, Ollama and g4f: {here}", err=True)
            if here != url:
                click.echo("from other machines: the same with this machine's address", err=True)
        keyed = registry.keyed() if registry is not None else ()
        if keyed:
            click.echo(f"with your keys: {', '.join(keyed)}; name a model as {keyed[0]}/MODEL", err=True)
        elif registry is not None:
            click.echo("no provider has a key; Echo, which needs none, is no language model", err=True)

    grace = grace if grace is not None else server.grace_seconds
    conduct = Conduct(on_ready=on_ready, on_stopping=_say_that_it_stops, grace_seconds=grace)
    given = {name: click.get_current_context().params.get(_OPTIONS.get(name, name)) for name in FIXED}
    reloader = functools.partial(Reloader, overridden=[name for name, value in given.items() if value is not None])
    count = first_of(workers, server.workers, 1)
    ended_by = _serve(providers, load, loaded, place, conduct, reloader=reloader, count=count)
    return exits.INTERRUPTED if ended_by == signal.SIGINT else exits.OK


def _serve(
    providers: list[Any] | None,
    load: Callable[..., Loaded],
    loaded: Loaded,
    place: Place,
    conduct: Conduct,
    *,
    reloader: Callable[..., Reloader],
    count: int,
) -> signal.Signals | None:
    """Serve with one process, this one, or with several."""
    from backstream.cli.serving import Kept
    from backstream.server.app import create_app
    from backstream.server.ledger import Ledger
    from backstream.server.run import serve_at
    from backstream.server.workers import default_state_path, serve_with_workers

    if count == 1:
        app = create_app(providers, loaded.settings, registry=loaded.registry)
        conduct = msgspec.structs.replace(conduct, on_reload=reloader(load, loaded))
        return asyncio.run(serve_at(app, place, conduct))
    state_file = loaded.settings.state_file or default_state_path()
    Ledger(state_file)  # made before there are several who would make it at the same time
    kept = Kept(functools.partial(load, state_file=state_file), loaded)

    def make(worker: int) -> Any:
        own = kept.of_worker(worker, state_file)
        own_load = functools.partial(load, worker=worker, state_file=state_file)
        return create_app(providers, own.settings, registry=own.registry), reloader(
            own_load, own, process=kept.first.config
        )

    return serve_with_workers(make, count, place, conduct, before_reload=kept.refresh)


def _say_that_it_stops(answers: int | None) -> None:
    from backstream.server.notify import tell_service_manager

    tell_service_manager("STOPPING=1")
    if answers != 0 and can_style(sys.stderr):
        running = "answers that run" if answers is None else f"{answers} answer{'s' * (answers > 1)}"
        click.echo(f"\rletting {running} end; Ctrl-C again ends at once", err=True)


def _providers(relays: Sequence[str], names: Sequence[str]) -> list[Any] | None:
    """Return the providers named; ``None`` for the built-in one."""
    return [*map(_relay, relays), *map(_import, names)] or None


def _relay(pair: str) -> Any:
    from backstream.providers.backend_api import BackendApi
    from backstream.transport.session import check_url

    name, _, url = pair.partition("=")
    if not name.isidentifier() or not url:
        raise ConfigurationError("--relay wants NAME=URL", "for example --relay Home=http://127.0.0.1:8080")
    return type(name, (BackendApi,), {"url": check_url(url), "get_models": classmethod(_models_of_relay)})


async def _models_of_relay(relay: Any) -> list[str]:
    """Ask a relay's server for the models of all its providers."""
    listed = await relay.fetch_models()
    models = listed.values() if isinstance(listed, dict) else ()
    return list(dict.fromkeys(str(model) for each in models if isinstance(each, list) for model in each))


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
