"""The gateways that are measured: how each is set up in front of the upstream, started, and known to be ready."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import nginx
from benchmarks.environments import EnvironmentFailed, interpreter, last_line, pinned
from benchmarks.gateway_usage import tree_of

ROOT = Path(__file__).parent.parent
KEYS = 16
"""Client keys of ours: a team's tools, each with its own."""
READY_SECONDS = 120


@dataclasses.dataclass(kw_only=True)
class Ready:
    """A gateway that answers.

    Attributes:
        port: Where.
        model: What its clients ask for.
        keys: The keys they show.
        processes: Its processes.
        start_seconds: From its start to its first 200.
    """

    port: int
    model: str
    keys: Sequence[str]
    processes: Sequence[int]
    start_seconds: float


@dataclasses.dataclass(kw_only=True)
class Launch:
    """How to start a gateway.

    Attributes:
        command: Program and arguments.
        ready_paths: What to ask until one of them answers 200.
        model: What its clients ask for.
        keys: The keys they show.
        environ: What it sees of the environment beside the path.
    """

    command: Sequence[str]
    ready_paths: Sequence[str]
    model: str
    keys: Sequence[str] = ("unused",)
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)


Prepare = Callable[[Path, int, int], Launch]
"""Sets a gateway up: takes a folder for its files, the port to listen on, and the upstream's port."""


def _nginx(folder: Path, port: int, upstream: int) -> Launch:
    return Launch(command=nginx.command(folder, port, upstream), ready_paths=["/readyz"], model="bench")


def backstream(provider: str, *, loop: str = "asyncio") -> Prepare:
    """``backstream serve`` before the upstream as a provider; with client keys, their limits, and a log."""

    def prepare(folder: Path, port: int, upstream: int) -> Launch:
        (folder / "backstream.toml").write_text(
            f'[providers.same]\nurl = "http://127.0.0.1:{upstream}/v1"\ndialect = "openai_chat"\nkey = "unused"\n'
            f'[providers.other]\nurl = "http://127.0.0.1:{upstream}"\ndialect = "anthropic_messages"\nkey = "unused"\n'
        )
        (folder / "backstream.toml").chmod(0o600)
        environ = {"BACKSTREAM_CONFIG": str(folder / "backstream.toml"), "HOME": str(folder)}
        start = [sys.executable, "-c", _MAIN[loop]]
        keys = [_key(start, f"client-{number}", folder, environ) for number in range(KEYS)]
        command = [
            *start,
            "serve",
            "--port",
            str(port),
            "--keys-file",
            str(folder / "keys.json"),
            "--max-streams",
            "1024",
        ]
        return Launch(
            command=[*command, *_log_option(start)],
            ready_paths=["/readyz", "/healthz"],
            model=f"{provider}/bench",
            keys=keys,
            environ=environ,
        )

    return prepare


_MAIN = {
    "asyncio": "from backstream.cli.main import main; main()",
    "uvloop": "import asyncio, uvloop; asyncio.run = uvloop.run; from backstream.cli.main import main; main()",
}
_LIMITS = ("--requests-per-minute", "1000000", "--concurrent-streams", "1000", "--tokens-per-day", "1000000000000")


def _key(start: Sequence[str], name: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Make a client key whose limits are counted, and never reached."""
    command = [*start, "keys", "add", name, "--keys-file", str(folder / "keys.json"), *_LIMITS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environ(environ))
    if done.returncode:
        raise EnvironmentFailed(last_line(done.stderr.encode()))
    return done.stdout.strip()


def _log_option(start: Sequence[str]) -> Sequence[str]:
    said = subprocess.run([*start, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return ["--log", "json"] if "--log" in said else ["--verbose"]


def _litellm(folder: Path, port: int, upstream: int) -> Launch:
    python = interpreter("litellm_proxy")
    given = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "unused"}
    configuration = {
        "model_list": [{"model_name": "bench", "litellm_params": given}],
        "general_settings": {"master_key": "sk-bench"},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "config.yaml").write_text(json.dumps(configuration))  # JSON is YAML
    options = ["--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    return Launch(
        command=[str(python), str(python.with_name("litellm")), *options],
        ready_paths=["/health/liveliness"],
        model="bench",
        keys=["sk-bench"],
        environ={"HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
    )


FLOOR = "nginx"
LITELLM = "LiteLLM proxy"
GATEWAYS: dict[str, Prepare] = {
    FLOOR: _nginx,
    "backstream, same dialect": backstream("same"),
    "backstream, other dialect": backstream("other"),
    LITELLM: _litellm,
}
UVLOOP: dict[str, Prepare] = {
    "backstream, same dialect, uvloop": backstream("same", loop="uvloop"),
    "backstream, other dialect, uvloop": backstream("other", loop="uvloop"),
}


def label(name: str) -> str:
    """A gateway's name, with its version where it is foreign."""
    if name == FLOOR:
        return f"nginx {nginx.version()}, 1 worker"
    return f"{name} {pinned('litellm_proxy')}" if name == LITELLM else name


def _environ(given: Mapping[str, str]) -> dict[str, str]:
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | dict(given)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def started(prepare: Prepare, upstream: int) -> Iterator[Ready]:
    """Run a gateway while the context lasts.

    Raises:
        EnvironmentFailed: It cannot be set up, or does not start.
    """
    with tempfile.TemporaryDirectory() as home:
        folder, port = Path(home), _free_port()
        launch = prepare(folder, port, upstream)
        with (folder / "log").open("wb") as log:
            begun = time.perf_counter()
            process = subprocess.Popen(
                launch.command, cwd=folder, stdout=log, stderr=log, env=_environ(launch.environ), start_new_session=True
            )
            try:
                _wait(process, port, launch.ready_paths, folder / "log")
                seconds = time.perf_counter() - begun
                processes = tree_of(process.pid)
                yield Ready(port=port, model=launch.model, keys=launch.keys, processes=processes, start_seconds=seconds)
            finally:
                _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, paths: Sequence[str], log: Path) -> None:
    until = time.perf_counter() + READY_SECONDS
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise EnvironmentFailed(f"it ended at its start: {last_line(log.read_bytes())}")
        for path in paths:
            if _answers(port, path):
                return
        time.sleep(0.002)
    raise EnvironmentFailed(f"not ready within {READY_SECONDS} s")


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started: they are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
