"""``backstream completion``: the script a shell completes our commands with."""

from __future__ import annotations

import click

from backstream.cli import exits

__all__ = ["command"]


@click.command("completion", epilog=exits.EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      eval "$(backstream completion bash)"        in ~/.bashrc
      eval "$(backstream completion zsh)"         in ~/.zshrc
      backstream completion fish > ~/.config/fish/completions/backstream.fish
    """  # noqa: D301 - click reads \b
    from click.shell_completion import get_completion_class

    from backstream.cli.program import cli

    found = get_completion_class(shell)
    if found is not None:
        script = found(cli, {}, "backstream", "_BACKSTREAM_COMPLETE")
        click.echo(script.source_template % script.source_vars())
