"""``backstream doctor``: examines anybody's endpoint, and prints a scorecard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from backstream.cli import exits

if TYPE_CHECKING:
    from backstream.testing.doctor import Scorecard

__all__ = ["command"]

_DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "backend_api")
_UNWELL = 1


@click.command("doctor", epilog=exits.EPILOG)
@click.argument("url")
@click.option("--dialect", type=click.Choice(["auto", *_DIALECTS]), default="auto", help="Default: all that it speaks.")
@click.option("--model", default="", metavar="NAME", help="Whom to ask. Default: the first it lists that answers text.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds the endpoint's key.")
@click.option(
    "--through-chaos", is_flag=True, help="The endpoint is a gateway before: backstream chaos. Run the faults."
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    help="How long one answer may take. Default 60; through chaos 5.",
)
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    url: str,
    dialect: str,
    model: str,
    key_env: str | None,
    through_chaos: bool,
    patience: float | None,
    strict: bool,
    as_json: bool,
) -> int:
    """Examine an endpoint: does it tell the truth?

    Does it speak its dialect? Asks for lists, whole and streamed answers, limits and refusals, some fifteen short
    answers in each dialect; you pay what they cost there. Prints a line for each check, with what to do where one
    fails. The exit code is 0 where none does.

    With --through-chaos the endpoint is a gateway that has the models of backstream chaos behind it: every fault goes
    through, and an answer that broke off must not come out as whole.

    \b
    Examples:
      backstream doctor http://127.0.0.1:8080
      backstream doctor https://api.openai.com/v1 --dialect openai_chat --model gpt-5-mini --key-env OPENAI_API_KEY
      backstream doctor http://127.0.0.1:4000 --through-chaos --model test/chaos/ok
    """  # noqa: D301 - click reads \b
    from backstream.cli.running import run
    from backstream.errors import ConfigurationError

    key = None
    if key_env is not None:
        key = os.environ.get(key_env, "").strip() or None
        if key is None:
            raise ConfigurationError(f"the variable {key_env} is not set", "set it to the endpoint's key")
    seconds = patience if patience is not None else (5.0 if through_chaos else 60.0)
    cards = run(_examine(url, dialect, model, key, seconds, through_chaos=through_chaos))
    _print(cards, as_json=as_json)
    return exits.OK if all(card.is_healthy(strict=strict) for card in cards) else _UNWELL


async def _examine(
    url: str, dialect: str, model: str, key: str | None, seconds: float, *, through_chaos: bool
) -> Sequence[Scorecard]:
    from backstream.errors import ConfigurationError
    from backstream.testing.doctor import examine, find_dialects

    names: Sequence[str] = [dialect]
    if dialect == "auto":
        names = await find_dialects(url, key=key, patience_seconds=seconds)
    if not names:
        raise ConfigurationError(
            "the endpoint speaks no dialect that is known here", "check the URL, or name --dialect"
        )
    return [
        await examine(url, name, model=model, key=key, patience_seconds=seconds, through_chaos=through_chaos)
        for name in names
    ]


def _print(cards: Sequence[Scorecard], *, as_json: bool) -> None:
    from backstream.cli.tables import print_json, print_table

    if as_json:
        print_json([card.get_dict() for card in cards])
        return
    for card in cards:
        click.echo(f"{card.dialect} at {card.url}, model {card.model}")
        rows = [
            (found.status, found.name, f"{found.reason}; {found.remedy}" if found.remedy else found.reason)
            for found in card.findings
        ]
        print_table(("", "CHECK", "FOUND"), rows)
        click.echo(", ".join(f"{count} {status}" for status, count in card.totals.items()) + "\n")
