"""Environments of the programs that are measured beside ours: one each, made by the first run that needs it, then kept.

What goes into one is pinned and hash-locked in ``benchmarks/requirements/``. ``python -m benchmarks.environments``
writes those files anew, each from the ``.in`` file beside it, with what is newest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS = Path(__file__).parent / "requirements"
FOLDER = ROOT / ".venv-bench"
INSTALL_SECONDS = 300


class EnvironmentFailed(Exception):
    """An environment could not be made; the text is the reason, in one line."""


def interpreter(name: str, requirements: Path | None = None) -> Path:
    """Give the interpreter of an environment, making that where it is missing or older than its requirements.

    Args:
        name: The environment's.
        requirements: What goes into it; ``None`` for the file of its name in ``benchmarks/requirements``.

    Raises:
        EnvironmentFailed: It could not be made, for instance without a network.
    """
    requirements = requirements or REQUIREMENTS / f"{name}.txt"
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = f"{sys.version} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    ready = folder / ".ready"
    if not ready.exists() or ready.read_text() != wanted:
        print(f"  (setting up {name} in {folder.relative_to(ROOT)})", flush=True)
        try:
            venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
            _install(python, requirements)
        except subprocess.CalledProcessError as error:
            raise EnvironmentFailed(last_line(error.stderr or error.output or b"") or f"{error}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentFailed(last_line(str(error).encode())) from error
        ready.write_text(wanted)
    return python


def _install(python: Path, requirements: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*command, "-r", str(requirements)], check=True, capture_output=True, timeout=INSTALL_SECONDS)


def last_line(text: bytes) -> str:
    """The last line of what a program printed, which is where it says why it failed."""
    return text.decode(errors="replace").strip().rpartition("\n")[2].strip()


def pinned(name: str) -> str:
    """The version that the requirements of an environment pin: of the package its ``.in`` file names first."""
    package = (REQUIREMENTS / f"{name}.in").read_text().split()[0]
    for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.removeprefix(f"{package}==").rstrip(" \\")
    raise LookupError(f"{name}.txt does not pin {package}")


def lock() -> None:
    """Write every file of requirements anew."""
    quiet = ("--quiet", "--no-header", "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links")
    compiler = [sys.executable, "-m", "piptools", "compile", "--generate-hashes", "--allow-unsafe", "--strip-extras"]
    for source in sorted(REQUIREMENTS.glob("*.in")):
        output = f"{source.stem}.txt"
        command = [*compiler, *quiet, "--upgrade", "--output-file", output, source.name]
        subprocess.run(command, cwd=REQUIREMENTS, check=True)


if __name__ == "__main__":
    lock()
