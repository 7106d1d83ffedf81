"""Foreign programs, each in an environment of its own, set up by the first run that needs it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import venv
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from conformance.support_aimock import Aimock, running_aimock

ROOT = Path(__file__).parent.parent.parent
VERSIONS = ("0.5.9.0", "6.7.4", "6.7.5", "7.5.0", "8.8.6")

Run = Callable[..., Awaitable[str]]


def _bin(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin")


@pytest.fixture(scope="session", params=VERSIONS)
def g4f_python(request: pytest.FixtureRequest) -> Path:
    """An interpreter with one version of g4f, the program this protocol comes from."""
    folder = ROOT / ".venv-conformance" / f"g4f-{request.param}"
    python = _bin(folder) / "python"
    ready = folder / ".ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = [f"g4f=={request.param}", "flask[async]", "curl_cffi", "aiohttp", "requests", "python-multipart"]
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5", *wanted]
        subprocess.run(command, check=True)
        ready.touch()
    return python


@pytest.fixture
def foreign(g4f_python: Path, tmp_path: Path) -> Run:
    """Run a script with the foreign interpreter, in a home of its own, and return what it printed."""

    async def run(script: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            g4f_python,
            Path(__file__).parent / script,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
        )
        async with asyncio.timeout(120):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-2000:]
        return out.decode()

    return run


@pytest.fixture(scope="session")
def aimock_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    """The npm package aimock, running on a loopback port until the last test is done."""
    with running_aimock(tmp_path_factory.mktemp("aimock")) as running:
        yield running


@pytest.fixture
def aimock(aimock_program: Aimock) -> Iterator[Aimock]:
    """A mock of OpenAI, Anthropic, Gemini and Ollama with no answers yet: give them by ``aimock.answer(…)``."""
    aimock_program.reset()
    yield aimock_program
    print(aimock_program.log())
