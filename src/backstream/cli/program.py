"""The program: finds the command, calls it, and turns whatever happens into an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from backstream._version import __version__
from backstream.cli import exits

__all__ = ["cli", "run"]

_COMMANDS: Final = (
    "chat",
    "serve",
    "keys",
    "models",
    "providers",
    "explain",
    "config",
    "doctor",
    "chaos",
    "replay",
    "completion",
)
_COMPLETION_VARIABLE: Final = "_BACKSTREAM_COMPLETE"


class _LazyGroup(click.Group):
    """Imports a command when it is asked for, so that starting one does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"backstream.cli.{cmd_name}").command
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exits.EPILOG,
)
@click.version_option(__version__, message="backstream %(version)s")
def cli() -> None:
    """Stream conversations from language-model back-ends, and serve them.

    \b
    Examples:
      backstream chat "Why is the sky blue?"
      backstream chat -m ollama/llama3.2 "What is in this picture?" --media cat.jpg
      git diff | backstream chat "Review this change"
      backstream serve --port 8080
    """  # noqa: D301 - click reads \b


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What stands after the program's name.

    Returns:
        The exit code.
    """
    there = exits.open_missing_output()
    try:
        exits.check_output(there, arguments[0] if arguments else "")
        code = _invoke(list(arguments))
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = exits.USAGE
    except (KeyboardInterrupt, click.Abort):
        exits.erase_echo()
        code = exits.INTERRUPTED
    except BrokenPipeError:
        code = exits.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the program's edge: every error becomes one line and an exit code
        code = exits.report(error)
    exits.silence_output()
    return code


def _invoke(arguments: list[str]) -> int:
    instruction = os.environ.get(_COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "backstream", _COMPLETION_VARIABLE, instruction)
    with cli.make_context("backstream", arguments) as context:
        result: Any = cli.invoke(context)
    return result if isinstance(result, int) else exits.OK
