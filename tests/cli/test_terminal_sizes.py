"""Sizes of terminals that tell none, or a very small one."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

import pytest

from backstream.cli.terminal import width_of


@pytest.mark.parametrize(
    ("lines", "columns", "size"), [(0, 0, (80, 24)), (0, 100, (100, 24)), (1, 1, (1, 2)), (50, 120, (120, 50))]
)
def test_a_terminal_has_a_size(lines: int, columns: int, size: tuple[int, int]) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        with os.fdopen(slave, "w") as stream:
            assert width_of(stream) == size
    finally:
        os.close(master)
