"""``backstream chat``: one answer, or an interactive session."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backstream.cli import exits
from backstream.cli.logs import verbose_option

if TYPE_CHECKING:
    from backstream.cli.call import Call
    from backstream.messages import ImageType
    from backstream.options import MidStreamPolicy
    from backstream.request import Policy

__all__ = ["command"]


@click.command("chat", epilog=exits.EPILOG)
@click.argument("prompt", nargs=-1)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="PROVIDER/MODEL; see: backstream models. Repeat it, or write A,B: the next one is asked where one fails.",
)
@click.option(
    "--provider", metavar="NAME", help="The provider; with a server one behind it. See: backstream providers."
)
@click.option("--url", metavar="URL", help="A server of the backend-api protocol. Default: $BACKSTREAM_URL.")
@click.option("--dialect", metavar="NAME", help="How the server at --url is spoken to, such as openai_chat.")
@click.option("-f", "--media", multiple=True, metavar="FILE", help="Send a file (or http(s) URL) along; repeatable.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions that come before the conversation.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds the provider's key.")
@click.option("--server-key-env", metavar="NAME", help="The environment variable that holds the server's own key.")
@click.option("-p", "--param", "params", multiple=True, metavar="K=V", help="A further parameter; V is JSON or text.")
@click.option(
    "--tools", multiple=True, metavar="MODULE:FUNCTION", help="Let the model call Python functions; repeatable."
)
@click.option(
    "--tool-rounds", type=click.IntRange(1), default=8, show_default=True, help="Answers with calls in them, at most."
)
@click.option("--schema", type=click.Path(path_type=Path), metavar="FILE", help="Print an answer to this JSON schema.")
@click.option(
    "--receipts",
    type=click.Choice(["strict", "warn", "drop"]),
    help="A parameter the back-end cannot take: refuse, tell (the default), or be silent.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Save media of the answer there.")
@click.option("--json", "as_json", is_flag=True, help="Print raw events, one JSON object a line.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Longest silence of the server; 0 for any. Default 600.")
@click.option(
    "--deadline", "deadlines", multiple=True, metavar="NAME=SECONDS", help="A clock's limit (see above); repeatable."
)
@click.option("--retries", type=click.IntRange(0, 10), metavar="N", help="How often a model is asked again. Default 2.")
@click.option(
    "--switch-after",
    type=float,
    metavar="SECONDS",
    help="Longest silence before the next model; 0 for any. Default 10.",
)
@click.option(
    "--hedge-after",
    type=float,
    metavar="SECONDS",
    help="Silence after which a second model is asked too. Default: never.",
)
@click.option(
    "--mid-stream",
    type=click.Choice(["fail", "restart", "continue", "whole"]),
    help="When an answer breaks: fail (the default), begin anew, go on elsewhere, or show it only once it is whole.",
)
@click.option("--proxy", metavar="URL", help="http://, https:// or socks5:// proxy. Default: the environment's.")
@click.option("--no-markdown", is_flag=True, help="Print the answer's text as it comes, also on a terminal.")
@verbose_option
def command(
    prompt: tuple[str, ...],
    *,
    models: tuple[str, ...],
    provider: str | None,
    url: str | None,
    dialect: str | None,
    media: tuple[str, ...],
    system: str | None,
    api_key_env: str | None,
    server_key_env: str | None,
    params: tuple[str, ...],
    tools: tuple[str, ...],
    tool_rounds: int,
    schema: Path | None,
    receipts: Policy | None,
    output: Path | None,
    as_json: bool,
    timeout: float | None,
    deadlines: tuple[str, ...],
    retries: int | None,
    switch_after: float | None,
    hedge_after: float | None,
    mid_stream: MidStreamPolicy | None,
    proxy: str | None,
    no_markdown: bool,
) -> int:
    """Send PROMPT and stream the answer; without one, talk.

    Text piped in is the prompt, or is joined to it below a blank line; anything else piped in is sent along as media.
    Without a prompt on a terminal an interactive session begins. The answer goes to standard output, everything else
    to standard error.

    Without --model, --provider and --url the model of BACKSTREAM_MODEL or backstream.toml answers; else a model server
    that runs on this machine (Ollama, llama.cpp, vLLM, …); else a provider whose key is in the environment; else Echo,
    which is no language model. Who it is, and why, is told.

    Deadlines: connect, headers, first_content, between_content, total, idle.

    \b
    Examples:
      backstream chat "Why is the sky blue?"
      backstream chat "What is in these?" -f cat.jpg -f dog.jpg
      git diff | backstream chat "Review this change" > review.md
      backstream chat -m echo-media "Draw a gradient" --output pictures
      backstream chat -m openai/gpt-5 -p temperature=0.2 "Hi"
      backstream chat -m openai/gpt-5,anthropic/claude-opus-4-5 --mid-stream continue "Hi"
      backstream chat --tools mytools:weather,time "Is it warm in Oslo?"
      backstream chat --schema person.json "Who wrote Faust?" | jq .name
      backstream chat --url http://127.0.0.1:8080 --api-key-env MY_KEY "Hi"
      backstream chat --url http://127.0.0.1:8000/v1 --dialect openai_chat "Hi"
    """  # noqa: D301 - click reads \b
    from backstream.cli import call as calls
    from backstream.cli.attachments import parse_media
    from backstream.cli.logs import show_warnings
    from backstream.cli.tools import find_tools, read_schema

    names = [name.strip() for written in models for name in written.split(",")]
    for what, text in (
        ("the prompt", " ".join(prompt)),
        ("--system", system),
        ("--model", " ".join(models)),
        ("--url", url),
    ):
        calls.check_text(what, text)
    for what, text in (("--provider", provider), ("--proxy", proxy), ("--param", " ".join(params))):
        calls.check_text(what, text)
    if dialect is not None and url is None:
        raise click.UsageError("--dialect needs --url")
    if len(names) > 1 and not all(names):
        raise click.UsageError("--model holds an empty name")
    if any("://" in name for name in names):
        raise click.UsageError("--model is a URL: name the server with --url")
    show_warnings()
    call = calls.Call(
        model=names[0] if names else "",
        others=tuple(names[1:]),
        url=url,
        dialect=dialect,
        provider=provider,
        api_key=calls.read_key(api_key_env),
        server_key=calls.read_key(server_key_env),
        parameters=calls.parse_parameters(params),
        deadlines=calls.parse_deadlines(timeout, deadlines),
        recovery=calls.parse_recovery(retries, switch_after, hedge_after, mid_stream, as_json=as_json),
        proxy=proxy,
        receipts=receipts,
        tools=find_tools(tools),
        tool_rounds=tool_rounds,
        response_format=None if schema is None else read_schema(schema),
        as_events=as_json,
    )
    if output is not None:
        from backstream.cli.saving import check_folder

        check_folder(output)
    items = parse_media(media)
    opening = [{"role": "system", "content": system}] if system else []
    if not prompt and sys.stdin is not None and sys.stdin.isatty():
        for option, given in (("--json", as_json), ("--schema", schema is not None)):
            if given:
                raise click.UsageError(f"{option} needs a prompt")
        from backstream.cli.interactive import converse

        return converse(call, opening, items, output=output, markdown=not no_markdown)
    return _once(call, opening, " ".join(prompt), items, output=output, markdown=not no_markdown)


def _once(
    call: Call,
    opening: list[dict[str, str]],
    prompt: str,
    media: list[ImageType],
    *,
    output: Path | None,
    markdown: bool,
) -> int:
    from backstream.cli.answering import ask_once, make_saver
    from backstream.cli.attachments import check_piped
    from backstream.cli.input import join_prompt, read_piped
    from backstream.cli.running import run
    from backstream.cli.terminal import make_tolerant
    from backstream.cli.views import make_view

    piped = read_piped()
    with contextlib.ExitStack() as opened:
        if isinstance(piped, str):
            prompt = join_prompt(prompt, piped)
        elif piped is not None:
            media.append(opened.enter_context(piped))
            check_piped(piped)
        if not prompt.strip() and not media:
            raise click.UsageError("there is no prompt: give one as an argument, or on standard input")
        make_tolerant()
        messages = [*opening, {"role": "user", "content": prompt}]
        saver = make_saver(output)
        saved = None if saver is None else saver.links
        view = make_view(
            as_json=call.as_events,
            markdown=markdown,
            saved=saved,
            tools=[tool.name for tool in call.tools],
            silent=call.response_format is not None,
        )
        good = run(ask_once(call, messages, media, view, saver))
    return exits.OK if good else exits.BACKEND_FAILED
