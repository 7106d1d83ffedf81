"""``backstream``: where the console script begins. Imports nothing at first, so that Ctrl-C is quiet from the start."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from backstream.cli.program import cli

__all__ = ["cli", "main"]


def main() -> NoReturn:
    """Be the program ``backstream``."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else ignored, as in a background job
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to clean up yet: end without a traceback
    from backstream.cli.program import run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def __getattr__(name: str) -> object:
    if name != "cli":
        raise AttributeError(f"module 'backstream.cli.main' has no attribute {name!r}")
    from backstream.cli.program import cli

    return cli
