"""``backstream chaos``: back-ends whose models are faults, to test clients and gateways with."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from backstream.cli import exits

if TYPE_CHECKING:
    from backstream.testing.chaos import ChaosServer, Played

__all__ = ["command"]

_SLOWEST_PACE_SECONDS = 3600.0


@click.command("chaos", epilog=exits.EPILOG)
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="A loopback address. Default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Default 0: a free one.")
@click.option(
    "--pace",
    type=click.FloatRange(0.001, _SLOWEST_PACE_SECONDS),
    default=1.0,
    metavar="SECONDS",
    help="How slow the slow faults are. Default 1.",
)
@click.option("--list", "as_list", is_flag=True, help="List the faults, and serve nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
def command(*, host: str, port: int, pace: float, as_list: bool, as_json: bool) -> int:
    """Serve back-ends that fail on purpose, until Ctrl-C.

    One port speaks OpenAI (chat and responses), Anthropic, Gemini, Ollama and the backend-api by their usual paths. The
    model that is asked for is the fault: chaos/cut-after-3 closes the connection after three pieces. A number at the
    end of a name can be any. The lists of models name them all.

    \b
    Examples:
      backstream chaos --list
      backstream chaos --port 9009
      backstream chat --url http://127.0.0.1:9009/v1 --dialect openai_chat -m chaos/cut-after-3 "Hi"
    """  # noqa: D301 - click reads \b
    if as_list:
        _print_list(as_json=as_json)
        return exits.OK
    _check_host(host)

    from backstream.cli.running import run
    from backstream.testing.chaos import ChaosServer

    run(_serve(ChaosServer(host, port, pace_seconds=pace, on_request=_tell)))
    return exits.OK


def _check_host(host: str) -> None:
    import ipaddress

    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise click.UsageError("--host is no loopback address: what fails on purpose is for this machine only")


async def _serve(server: ChaosServer) -> None:
    from backstream.errors import ConfigurationError

    try:
        await server.open()
    except OSError as error:
        problem = f"cannot listen on {server.host} port {server.port} ({os.strerror(error.errno or 0)})"
        raise ConfigurationError(problem, "choose another --port") from error
    try:
        click.echo(f"listening on {server.url}", err=True)
        click.echo(f"base URLs: OpenAI and Anthropic {server.url}/v1; Gemini {server.url}/v1beta", err=True)
        click.echo(f"Ollama and backend-api {server.url}", err=True)
        await asyncio.Event().wait()
    finally:
        await server.aclose()


def _tell(played: Played) -> None:
    from backstream.cli.terminal import harmless

    asked = f" {played.model[:80]} ({'streamed' if played.stream else 'whole'})" if played.model else ""
    click.echo(harmless(f"{played.method} {played.path[:200]}{asked}"), err=True)


def _print_list(*, as_json: bool) -> None:
    from backstream.cli.tables import print_json, print_table
    from backstream.testing.chaos import FAULTS

    if as_json:
        print_json(
            [
                {"model": fault.model, "about": fault.about, "rows": fault.rows, "outcome": fault.outcome}
                for fault in FAULTS.values()
            ]
        )
    else:
        print_table(("MODEL", "DOES"), [(fault.model, fault.about) for fault in FAULTS.values()])
