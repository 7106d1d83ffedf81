"""How the command line ends: exit codes, and errors as one line on standard error. Knows no command."""

from __future__ import annotations

import math
import os
import re
import sys
import traceback
from typing import Final

import click

from backstream.cli.terminal import can_style
from backstream.errors import (
    AuthenticationError,
    BackstreamError,
    CallerError,
    ConfigurationError,
    IncompleteStream,
    ProviderError,
    RefusedError,
)

__all__ = [
    "BACKEND_FAILED",
    "BROKEN_PIPE",
    "EPILOG",
    "INCOMPLETE",
    "INTERRUPTED",
    "OK",
    "REFUSED",
    "USAGE",
    "check_output",
    "erase_echo",
    "exit_code_of",
    "open_missing_output",
    "readable",
    "report",
    "say",
    "silence_output",
]

OK: Final = 0
BACKEND_FAILED: Final = 1
USAGE: Final = 2
INCOMPLETE: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

EPILOG: Final = """\b
Exit codes:
  0    all went well
  1    the back-end, or the way to it, failed
  2    the command, a file or a setting was wrong; nothing was sent
  3    the answer is incomplete
  4    the key was refused
  130  Ctrl-C
  141  nobody read the output any more
"""

_HINTS: Final = {
    "ConnectError": "check that the server runs and that --url is right",
    "TLSError": "check the server's certificate",
    "ProxyError": "check --proxy and the proxy variables of the environment",
    "DisconnectedError": "try again, or look at the server's log",
    "AuthenticationError": "name the variable that holds the provider's key with --api-key-env NAME",
    "PaymentError": "check the account's credit",
    "RateLimitError": "wait before trying again",
    "ModelNotFoundError": "list the models with: backstream models",
    "UnavailableError": "try again later",
    "DeadlineError": "try again, or give it longer with --deadline NAME=SECONDS",
    "IncompleteStream": "ask again for a whole answer",
    "DecodeError": "ask again, or ask another model",
    "ContentTypeError": "check the address, in --url or the configuration, and the dialect",
    "RedirectError": "use the address that the server redirects to as --url",
}
_OPTIONS: Final = {
    " or pass api_key=": ", or name the variable that holds it with --api-key-env NAME",
    'call with receipts="warn"': "call with --receipts warn",
    "list the providers there are": "list the providers with: backstream providers",
    "list the models there are": "list the models with: backstream models",
}
_SERVER_KEY_HINT: Final = "name the variable that holds the server's key with --server-key-env NAME"
_PROVIDER_HINT: Final = "list the providers with: backstream providers"
_PATH_HINT: Final = (
    "check --url: it is the server's address alone, such as http://127.0.0.1:8080; other kinds of server need --dialect"
)

_ESCAPED_BYTE: Final = re.compile(r"\\udc([89a-f][0-9a-f])")


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the program with."""
    if isinstance(error, click.ClickException | CallerError):
        return USAGE
    if isinstance(error, ProviderError) and error.left:
        if error.left == "incomplete":
            return INCOMPLETE
    elif isinstance(error, IncompleteStream):
        return INCOMPLETE
    if isinstance(error, AuthenticationError):
        return REFUSED
    return BACKEND_FAILED


def say(text: str) -> None:
    """Write one line for people to standard error, harmless for a terminal."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in readable(text)).split())
    click.echo(f"backstream: {folded}", err=True)


def readable(text: str) -> str:
    r"""Return text with bytes of a name that are no UTF-8 written as ``\xff``, which a shell can be given back."""
    try:
        shown = os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _ESCAPED_BYTE.sub(r"\\x\1", shown)  # as repr has written it


def report(error: BaseException) -> int:
    """Tell an error in one line.

    Args:
        error: What ended the command.

    Returns:
        The exit code to end with.
    """
    say(_describe(error))
    if os.environ.get("BACKSTREAM_DEBUG"):
        click.echo(_trace(error), err=True)
    return exit_code_of(error)


def _describe(error: BaseException) -> str:
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "backstream"
        return f"{_begin_small(error.format_message().rstrip('.'))}; see: {path} --help"
    if isinstance(error, click.ClickException):
        return _begin_small(error.format_message())
    if isinstance(error, BackstreamError):
        return _with_hint(error)
    if isinstance(error, OSError):
        what = error.filename if isinstance(error.filename, str) else "the output"
        return f"{what}: {error.strerror or type(error).__name__}; check that it can be read and written"
    return f"internal error ({type(error).__name__}); set BACKSTREAM_DEBUG=1 to see where, and report it"


def _begin_small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _with_hint(error: BackstreamError) -> str:
    if error.attempts:
        tried = ", ".join(f"{route} ({why})" for route, why in error.attempts)
        return f"{_in_options(str(error))}; tried {tried}"
    if isinstance(error, CallerError):
        return _in_options(str(error))
    advice = getattr(error, "__notes__", None)
    return f"{error}; {advice[0] if advice else _hint_for(error)}"


def _in_options(text: str) -> str:
    """Say by options what the library says by arguments."""
    for argument, option in _OPTIONS.items():
        text = text.replace(argument, option)
    return text


def _hint_for(error: BackstreamError) -> str:
    hint = _refusal_hint(error) if isinstance(error, RefusedError) else None
    known = (_HINTS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _HINTS)
    return hint or next(known, "look at the back-end's log")


def _refusal_hint(error: RefusedError) -> str | None:
    """What to do where the server itself refused, by a status, and not the provider behind it, by an event."""
    if error.kind in ("ProviderNotFoundError", "UnknownProviderError"):
        return _PROVIDER_HINT
    if error.retry_after_seconds is not None and error.retryable:
        return f"wait {max(math.ceil(error.retry_after_seconds), 1)} s before trying again"
    if error.phase != "headers":
        return None
    if isinstance(error, AuthenticationError):
        return _SERVER_KEY_HINT
    if error.status in (404, 405):
        # two meanings of one status; only the advice hangs on the words
        return _PROVIDER_HINT if "provider" in error.problem.lower() else _PATH_HINT
    return None


def _trace(error: BaseException) -> str:
    """Where an error came from; the text of an error that is not ours is left out, for it may hold anything."""
    lines: list[str] = []
    link: BaseException | None = error
    while link is not None:
        shown = f": {link}" if isinstance(link, BackstreamError) else ""
        lines += [f"{type(link).__name__}{shown}\n", *traceback.format_tb(link.__traceback__)]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "".join(lines).rstrip()


def open_missing_output() -> bool:
    """Open what the caller closed (``>&-``), before a socket gets its number.

    Returns:
        Whether standard output was there.
    """
    there = sys.stdout is not None
    if not there:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    return there


def check_output(there: bool, command: str) -> None:
    """Check that a command has somewhere to print to, before it does anything; a server prints nothing.

    Raises:
        ConfigurationError: Standard output is closed.
    """
    if not there and command != "serve":
        raise ConfigurationError("standard output is closed", "leave it open, or send it to a file or to /dev/null")


def erase_echo() -> None:
    """Take the ``^C`` that a terminal shows off its line, so that the shell's prompt begins one."""
    if can_style(sys.stderr):
        sys.stderr.write("\r\x1b[K")


def silence_output() -> None:
    """Let nothing more reach a standard output that cannot take it, so that closing it at exit cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
