"""The description of the routes against the server, by schemathesis with all its checks, without keys and with one."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from backstream.server.keys import add_key

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".venv-conformance" / "schemathesis"
EXAMPLES = "30"  # for each route
SECONDS = 170


@pytest.fixture(scope="module")
def schemathesis() -> Path:
    """The program, in an environment of its own."""
    pins = HERE / "requirements" / "schemathesis.txt"
    wanted = f"{sys.version} {pins.read_text('utf-8')}"
    ready = FOLDER / ".ready"
    scripts = FOLDER / ("Scripts" if os.name == "nt" else "bin")
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        venv.create(FOLDER, with_pip=True, clear=True)
        pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5"]
        subprocess.run([*pip, "--no-deps", "-r", pins], check=True)
        ready.write_text(wanted, "utf-8")
    return scripts / "schemathesis"


@pytest.mark.parametrize("with_key", [False, True], ids=["without keys", "with a key"])
def test_every_route_does_what_the_description_says(schemathesis: Path, with_key: bool, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    headers = ["--header", f"Authorization: Bearer {add_key(keys, 'laptop')}"] if with_key else []
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    program = [sys.executable, HERE / "described_gateway.py", *([keys] if with_key else [])]
    with subprocess.Popen(
        program, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdout is not None
        try:
            url = gateway.stdout.readline().strip()
            command = [schemathesis, "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json"]
            command += [*headers, "--checks", "all", "--max-examples", EXAMPLES, "--seed", "7", "--workers", "1"]
            command += ["--continue-on-failure", "--request-timeout", "10", "--generation-database", "none"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
        finally:
            gateway.terminate()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
