"""Every program of ``examples/`` runs as it is, against the embedded backend, with warnings as errors."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backstream import sync_iter
from backstream.chunks import RawResponse
from backstream.providers.backend_api import BackendApi

EXAMPLES = Path(__file__).parent.parent / "examples"

SHOWN = {  # what each must say, in order
    "ask": [
        r"I am \*\*Echo\*\*",
        r"says: “Why is the sky blue\?”",
        r"\[finished: stop\]",
        r"\[\d+ tokens in, \d+ out\]",
    ],
    "with_picture": [r"1 media item arrived", r"640 × 400 pixels", r"^It arrived whole\.$"],
    "sync_script": [r"I am \*\*Echo\*\*", r"It thought: I look at what arrived", r"^One word is enough: I"],
    "own_provider_server": [r"\{'Backwards': \['backwards-1'\]\}", r"^\?was I tac a ti saW"],
    "errors_and_deadlines": [
        r"^echo: a whole answer$",
        r"^echo: mine: deadline idle=-1 ",
        r"^echo-fail-auth: a key is wrong: ",
        r"^echo-fail-rate: busy, again in 1\.0 s$",
        r"^echo-fail-middle: .*; [1-9]\d* chunks came before; try again: True$",
        r"^echo: silent for 0\.2 s, after \d+ chunks$",
        r"^echo-fail-start: given up after 3 attempts: UnavailableError$",
    ],
    "every_backend": [
        r"I am \*\*Echo\*\*",
        r"2 further parameters arrived: `seed`, `temperature`",
        r"^\[finished: stop, by echo",
        r"^\[\d+ tokens in, \d+ out\]$",
        r"^\[cost: not known\]$",
    ],
    "run_tools": [
        r'^\{"city":"Oslo","degrees":21\}$',
        r"^wrong arguments: .*city",
        r"^\[messages: assistant tool tool assistant\]$",
    ],
    "raw_session": [
        r"^200 \['latest_version', 'version'\]$",
        r"^events: content finish ",
        r'^first line: \{"type":"provider"',
    ],
}
NOT_RUN = {"draw_lighthouse"}  # makes lighthouse.png, which others are to find as it is


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("BACKSTREAM_URL", None)
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONIOENCODING": "utf-8"}


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHOWN) | NOT_RUN


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    at = 0
    for pattern in SHOWN[name]:
        found = re.compile(pattern, re.MULTILINE).search(done.stdout, at)
        assert found, f"{pattern} is not where it should be in\n{done.stdout}"
        at = found.end()


def test_the_picture_arrives_whole(tmp_path: Path) -> None:
    """The hash that the example prints is that of the file: what it calls whole is whole."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "with_picture.py")],
        env=environment(tmp_path),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert hashlib.sha256((EXAMPLES / "lighthouse.png").read_bytes()).hexdigest() in done.stdout


def test_the_example_server_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / "own_provider_server.py"), "0"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = process.stdout.readline().removeprefix("listening on ").strip()
            provider = type("There", (BackendApi,), {"url": address})
            chunks: list[RawResponse] = list(
                sync_iter(provider.create_async_generator("", [{"role": "user", "content": "ab cd"}]))
            )
        finally:
            process.send_signal(signal.SIGINT)
        assert "".join(map(str, chunks)) == "dc ba "
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
