"""``backstream chat`` without a prompt: one turn after another, with history, carried messages and a few commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from backstream.cli.answering import Answer, Talk, answer, make_saver
from backstream.cli.attachments import keep_media, parse_media
from backstream.cli.backends import find_back_end, introduce
from backstream.cli.call import Call, check_text
from backstream.cli.exits import INTERRUPTED, OK, report, say
from backstream.cli.history import History
from backstream.cli.running import Loop
from backstream.cli.terminal import harmless, is_terminal, make_tolerant
from backstream.cli.views import make_view
from backstream.client import Client
from backstream.errors import BackstreamError, ConfigurationError
from backstream.messages import ImageType

__all__ = ["converse"]

_PROMPT: Final = "> "
_HELP: Final = """\
/media FILE   send a file along with the next message
/save FILE    write the conversation to a file
/clear        forget the conversation so far
/help         show this
/exit         leave; so does Ctrl-D
Ctrl-C stops an answer; a second one leaves. A message that begins with a slash: write two."""


def converse(
    call: Call,
    opening: Sequence[dict[str, str]],
    media: Sequence[ImageType],
    *,
    output: Path | None,
    markdown: bool,
) -> int:
    """Talk until the user leaves.

    Args:
        call: Where and how.
        opening: Messages that come before the conversation.
        media: What to send along with the first message.
        output: Where to save media of answers.
        markdown: Whether Markdown may be rendered.

    Returns:
        The exit code.
    """
    make_tolerant()
    with Loop(patient=True) as loop, History() as history:
        client = Client(receipts=call.receipts)
        back_end = loop.run(find_back_end(call, client))
        introduce(back_end)
        click.echo("/help shows the commands, /exit leaves", err=True)
        session = _Session(Talk(client, back_end, call), opening, media, loop, output=output, markdown=markdown)
        interrupted = False
        while True:
            try:
                line = _ask()
            except EOFError:
                click.echo(err=True)
                return OK
            except KeyboardInterrupt:
                click.echo(err=True)
                if interrupted:
                    return INTERRUPTED
                interrupted = True
                say("Ctrl-C again leaves, so does Ctrl-D")
                continue
            history.save()
            interrupted = False
            try:
                if not session.take(line):
                    return OK
            except KeyboardInterrupt:
                interrupted = True
                say("stopped; Ctrl-C again leaves")


def _ask() -> str:
    if is_terminal(sys.stdout):
        return input(_PROMPT)
    click.echo(_PROMPT, nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


class _Session:
    """A conversation as it grows.

    Attributes:
        messages: What is sent with the next turn.
    """

    def __init__(
        self,
        talk: Talk,
        opening: Sequence[dict[str, str]],
        media: Sequence[ImageType],
        loop: Loop,
        *,
        output: Path | None,
        markdown: bool,
    ) -> None:
        self._talk = talk
        self._opening = opening
        self.messages: list[dict[str, Any]] = list(opening)
        self._media = list(media)
        self._state: dict[str, Any] | None = None
        self._loop = loop
        self._output = output
        self._markdown = markdown
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/clear": self._clear,
            "/save": self._save,
            "/media": self._attach,
        }

    def take(self, line: str) -> bool:
        """Do what a line says.

        Returns:
            Whether to go on.

        Raises:
            KeyboardInterrupt: Ctrl-C stopped the answer; what had arrived is kept.
        """
        line = line.strip()
        word, _, rest = line.partition(" ")
        if word in ("/exit", "/quit"):
            return False
        try:
            if word in self._commands:
                self._commands[word](rest.strip())
            elif word.startswith("/") and not word.startswith("//") and "/" not in word[1:]:
                say(f"there is no command {word}; /help lists them")
            elif line:
                self._turn(line[1:] if line.startswith("//") else line)
        except (BackstreamError, OSError) as error:
            report(error)
        return True

    def _turn(self, text: str) -> None:
        check_text("the message", text)
        answered = Answer()
        media, self._media = self._media, []
        self.messages.append({"role": "user", "content": text})
        saver = make_saver(self._output)
        links = None if saver is None else saver.links
        tools = [tool.name for tool in self._talk.call.tools]
        view = make_view(as_json=False, markdown=self._markdown, saved=links, tools=tools)
        try:
            self._loop.run(
                answer(self._talk, self.messages, media, view, into=answered, saver=saver, state=self._state)
            )
        finally:
            if answered.text or (answered.chunks and sys.exc_info()[0] is None):
                if media and not self._talk.back_end.is_server:  # a server of the protocol remembers by itself
                    self.messages[-1] = keep_media(text, media)
                self.messages += _to_keep(answered)
                self._state = answered.state or self._state
            else:  # nothing came: the turn can be asked again
                self.messages.pop()
                self._media = media

    def _help(self, rest: str) -> None:
        click.echo(_HELP, err=True)

    def _clear(self, rest: str) -> None:
        self.messages = list(self._opening)
        self._state = None
        self._media = []
        click.echo("the conversation is forgotten", err=True)

    def _attach(self, rest: str) -> None:
        if not rest:
            raise ConfigurationError("/media wants a file", "for example /media cat.jpg")
        self._media += parse_media([rest], "/media")
        click.echo(f"{harmless(rest)} goes along with the next message", err=True)

    def _save(self, rest: str) -> None:
        if not rest:
            raise ConfigurationError("/save wants a file", "for example /save talk.md")
        with Path(rest).open("x", encoding="utf-8") as file:  # never overwrites
            file.writelines(f"## {message['role']}\n\n{_shown(message)}\n\n" for message in self.messages)
        click.echo(f"saved {harmless(rest)}", err=True)


def _to_keep(answered: Answer) -> list[dict[str, Any]]:
    """Return what goes along with the next turn: all of a whole answer, of another its text."""
    whole = answered.history
    if not whole or whole[-1].get("tool_calls"):  # calls that nobody answered are refused in the next turn
        return [{"role": "assistant", "content": answered.text}]
    return whole


def _shown(message: Mapping[str, Any]) -> str:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    lines = [f"{call['name']}({call['arguments']})" for call in calls]
    return "\n".join([*_texts(message["content"]), *lines])


def _texts(content: object) -> list[str]:
    """Return the lines of a message's content; of media only what they are."""
    if isinstance(content, str):
        return [content] if content else []
    parts = content if isinstance(content, list) else []
    return [part["text"] if part.get("type") == "text" else f"[{part.get('type')}]" for part in parts]
