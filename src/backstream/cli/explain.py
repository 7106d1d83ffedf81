"""``backstream explain``: what a request would become on its way to a back-end. Sends nothing, needs no key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option
from backstream.errors import ConfigurationError

if TYPE_CHECKING:
    from backstream.client.explain import Explanation

__all__ = ["command"]


@click.command("explain", epilog=exits.EPILOG)
@click.argument("request", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", required=True, metavar="NAME", help="PROVIDER, PROVIDER/MODEL, or a dialect.")
@click.option("--from", "written_in", default="openai_chat", show_default=True, metavar="NAME", help="Its dialect.")
@click.option("--strict", is_flag=True, help="End with 1 where something was dropped.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@verbose_option
def command(request: Path, *, to: str, written_in: str, strict: bool, as_json: bool) -> int:
    """Show what a request becomes in another dialect.

    REQUEST is a file with its body as JSON, or - for standard input. What became of each thing in it comes first, then
    the request as it would be sent. Nothing is sent, and no key is needed. Long texts in the body are shortened.

    \b
    Examples:
      backstream explain request.json --to anthropic
      backstream explain request.json --to gemini --strict > /dev/null
      echo '{"model": "x", "messages": []}' | backstream explain - --to ollama --json
    """  # noqa: D301 - click reads \b
    import os

    from backstream.cli.call import check_text
    from backstream.client.explain import explain
    from backstream.providers.table import ROWS
    from backstream.registry.config import load_config
    from backstream.registry.rows import configured_rows

    for option, text in (("--to", to), ("--from", written_in)):
        check_text(option, text)
    members = _read(request)
    rows = configured_rows(ROWS, load_config(), os.environ)
    provider, slash, model = to.partition("/")
    called = provider if provider in rows else provider.lower()
    found = explain(members, to=f"{called}{slash}{model}", written_in=written_in, rows=rows)
    _print(found, as_json=as_json)
    lost = [receipt.what for receipt in found.receipts if receipt.outcome == "dropped" and not receipt.harmless]
    if strict and lost:
        exits.say(f"{found.provider} cannot take {', '.join(lost)}; leave that out, or do without --strict")
        return exits.BACKEND_FAILED
    return exits.OK


def _read(path: Path) -> Any:
    import msgspec

    shown = "standard input" if str(path) == "-" else exits.readable(str(path))
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{shown}: {error.strerror}", "name a file with a request, or - for a pipe") from None
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{shown} is not JSON", "write the body of a request into it") from None


def _print(found: Explanation, *, as_json: bool) -> None:
    from backstream.cli.tables import print_json, print_table

    if as_json:
        print_json(found)
        return
    rows = [
        (each.what, each.outcome, each.to or "", (each.why or "") + " (harmless)" * each.harmless)
        for each in found.receipts
    ]
    print_table(("WHAT", "BECAME", "TO", "WHY"), rows)
    click.echo(f"\nPOST {found.url}")
    for name, value in found.headers.items():
        click.echo(f"{name}: {value}")
    click.echo()
    print_json(found.body)
