"""The table of what each dialect can say is made from the tests' marks, is up to date, and has no empty cell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "generate_dialects.py"


def test_the_table_of_dialects_is_whole_and_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
