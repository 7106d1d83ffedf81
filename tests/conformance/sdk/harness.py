"""One client through the whole matrix: its own gateway as a process, its own back-ends, its driver line by line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from conformance.sdk.clients import Client
from conformance.sdk.environments import command_of
from conformance.sdk.scenarios import NOT_SAYABLE, OF_PROVIDERS, SCENARIOS, expected_of, judge
from conformance.sdk.upstreams import DIALECTS, Upstreams, running_upstreams

PROVIDERS = ("echo", *DIALECTS)
_UPSTREAM_KEY = "upstream-canary-5b0c6f1e"
_ANSWER_SECONDS = 60
_OURS = ("BACKSTREAM_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "MISTRAL_", "OLLAMA_")


class Result(NamedTuple):
    """What became of one scenario between one client and one provider.

    Attributes:
        provider: ``echo``, or the dialect of the scripted back-end.
        scenario: The scenario's name.
        ok: Whether all was right; ``None`` where this pair cannot say it.
        note: What was wrong, why it cannot be said, or what a reader should know of it.
    """

    provider: str
    scenario: str
    ok: bool | None
    note: str = ""


def run_client(client: Client, folder: Path, only: Sequence[str] = tuple(SCENARIOS)) -> list[Result]:
    """Run a client through scenarios, against every provider.

    Args:
        client: The client.
        folder: An empty folder, for homes, configuration and logs.
        only: The names of the scenarios.

    Raises:
        AssertionError: A program ended, or printed a key.
    """
    command = command_of(client)
    with running_upstreams(_UPSTREAM_KEY) as upstreams:
        with _gateway(folder, upstreams) as (url, key), _Driver(command, url, key, folder) as driver:
            results = [
                _try(client, driver, upstreams, provider, name)
                for provider in PROVIDERS
                for name in only
                if provider != "echo" or SCENARIOS[name].echo
            ]
        assert not upstreams.problems, upstreams.problems[:3]
    for log in ("driver.log", "driver.err", "gateway.log"):
        text = (folder / log).read_text("utf-8", "replace")
        for secret in (key, _UPSTREAM_KEY):
            assert secret not in text, f"a key stands in {log}"
    return results


def _try(client: Client, driver: _Driver, upstreams: Upstreams, provider: str, name: str) -> Result:
    if reason := NOT_SAYABLE.get((provider, name)) or _of(client.not_sayable, provider, name):
        return Result(provider, name, None, reason)
    model = SCENARIOS[name].echo if provider == "echo" else f"up_{provider}/{name}"
    answer = driver.ask(SCENARIOS[name].asked or name, model)
    if answer["ok"] is not True:
        return Result(provider, name, answer["ok"], answer["note"])
    problems = judge(expected_of(provider, name, client.expected), answer["seen"])
    if name == "cancel" and not problems and not upstreams.was_cancelled(provider):
        problems = ["the connection to the provider stays open"]
    if problems:
        return Result(provider, name, False, "; ".join(problems))
    remarks = (_of(client.remarks, provider, name), OF_PROVIDERS.get((provider, name), ({}, ""))[1])
    return Result(provider, name, True, "; ".join(filter(None, remarks)))


def _of(reasons: Mapping[Any, str], provider: str, name: str) -> str:
    names = (name, SCENARIOS[name].asked)
    return next(filter(None, (reasons.get(key) for each in names for key in ((provider, each), each))), "")


@contextlib.contextmanager
def _gateway(folder: Path, upstreams: Upstreams) -> Iterator[tuple[str, str]]:
    """Run ``backstream serve`` in front of the back-ends; give its URL and a client key."""
    config, keys = folder / "backstream.toml", folder / "keys.json"
    config.write_text(upstreams.config(), "utf-8")
    config.chmod(0o600)
    program = [str(Path(sys.executable).parent / "backstream")]
    environment = {**_environment(folder), "BACKSTREAM_CONFIG": str(config)}
    add = [*program, "keys", "add", "sdk", "--keys-file", str(keys)]
    printed = subprocess.run(add, env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    key = printed.stdout.split()[0]
    log = folder / "gateway.log"
    serve = [*program, "serve", "--port", "0", "--keys-file", str(keys), "-v"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            serve, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield _wait_for_url(process, log), key
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text("utf-8", "replace")[-2000:]


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    pause = threading.Event()
    for _ in range(1000):
        lines = log.read_text("utf-8", "replace").splitlines()
        found = [line.partition("listening on ")[2].strip() for line in lines if "listening on " in line]
        if found:
            return found[0]
        assert process.poll() is None, lines
        pause.wait(0.03)
    raise AssertionError("the gateway does not listen")


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a program: a home of its own, and nothing that speaks to SDKs or proxies."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)}
    kept = {name: value for name, value in kept.items() if not name.upper().endswith("_PROXY")}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PYTHONIOENCODING": "utf-8"}


class _Driver:
    """A running driver."""

    def __init__(self, command: Sequence[str], url: str, key: str, folder: Path) -> None:
        self._folder = folder
        self._log = (folder / "driver.log").open("w", encoding="utf-8")
        with (folder / "driver.err").open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, url],
                env={**_environment(folder), "SDK_KEY": key, "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, scenario: str, model: str) -> dict[str, Any]:
        """Give the driver a line and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_ANSWER_SECONDS, self._process.kill)
        watchdog.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps({"scenario": scenario, "model": model}) + "\n")
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        self._log.write(line)
        if not line:
            said = (self._folder / "driver.err").read_text("utf-8", "replace")
            raise AssertionError(f"the driver ended at {scenario} of {model}: {said[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        assert (answer["scenario"], answer["model"]) == (scenario, model), line
        return answer


if __name__ == "__main__":  # python -m conformance.sdk.harness CLIENT [SCENARIO…], in the folder tests
    import tempfile

    from conformance.sdk.clients import CLIENTS

    with tempfile.TemporaryDirectory() as temporary:
        for each in run_client(CLIENTS[sys.argv[1]], Path(temporary), sys.argv[2:] or tuple(SCENARIOS)):
            print({True: "yes", False: "NO ", None: "–  "}[each.ok], each.provider, each.scenario, each.note)
