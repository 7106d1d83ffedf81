"""``chaos`` and ``doctor``, as a user runs them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from backstream.testing.chaos import FAULTS


@pytest.fixture
def chaos(start: Callable[..., Any]) -> str:
    """Start ``backstream chaos`` on a free port; gives its URL."""
    process = start("chaos", "--pace", "0.01")
    line = process.stderr.readline().decode()
    assert line.startswith("listening on http://127.0.0.1:")
    return line.split()[-1]


def test_the_faults_are_listed(run) -> None:
    shown = run("chaos", "--list").stdout
    listed = json.loads(run("chaos", "--list", "--json").stdout)
    assert [entry["model"] for entry in listed] == [fault.model for fault in FAULTS.values()]
    assert all(f"{fault.model}  " in shown for fault in FAULTS.values())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_chaos_is_for_this_machine_only(run, host: str) -> None:
    done = run("chaos", "--host", host)
    assert done.returncode == 2
    assert "no loopback address" in done.stderr


def test_a_port_that_is_taken_is_told(run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("chaos", "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "--port" in done.stderr


def test_a_client_meets_a_fault(run, chaos: str) -> None:
    done = run("chat", "--url", f"{chaos}/v1", "--dialect", "openai_chat", "-m", "chaos/cut-after-3", "Hi")
    assert done.stdout.startswith("One, two, three:")
    assert done.returncode == 3


def test_a_healthy_endpoint(run, chaos: str) -> None:
    done = run("doctor", chaos, "--dialect", "ollama")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == f"ollama at {chaos}, model chaos/ok"
    assert any(line.split()[:2] == ["pass", "stream.end"] for line in lines)
    assert "0 fail, 0 warn" in done.stdout


def test_an_endpoint_that_is_unwell(run, chaos: str) -> None:
    done = run("doctor", chaos, "--dialect", "openai_chat", "--model", "chaos/no-end", "--json")
    assert done.returncode == 1
    (card,) = json.loads(done.stdout)
    failed = {check["name"]: check for check in card["checks"] if check["status"] == "fail"}
    assert failed["stream.end"]["reason"] == "the stream ends without data: [DONE]"
    assert failed["stream.end"]["remedy"]
    assert card["totals"]["fail"] == len(failed)


def test_warnings_count_where_they_are_to(run, chaos: str) -> None:
    asked = ("doctor", chaos, "--dialect", "anthropic_messages", "--model", "chaos/http10")
    assert run(*asked).returncode == 0
    assert run(*asked, "--strict").returncode == 1


def test_our_gateway_with_its_key(run, serve) -> None:
    url = serve()
    done = run("doctor", url, "--strict", "--key-env", "MY_KEY", "--json", MY_KEY="sk-canary-of-the-doctor")
    cards = json.loads(done.stdout)
    assert len(cards) == 6
    assert "sk-canary" not in done.stdout + done.stderr
    # it asks for no key: a key that was given for nothing is worth telling
    assert {check["name"] for card in cards for check in card["checks"] if check["status"] in ("fail", "warn")} == {
        "errors.bad-key",
        "errors.no-key",
    }


def test_our_gateway_without_a_key(run, serve) -> None:
    done = run("doctor", serve(), "--strict")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("model echo") == 6


def test_every_fault_through_nothing_at_all(run, chaos: str) -> None:
    done = run("doctor", chaos, "--dialect", "gemini", "--through-chaos", "--patience", "0.2")
    assert done.returncode == 0, done.stdout
    assert "chaos.cut-after-3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 2, "URL"),
        (("http://127.0.0.1:9", "--key-env", "NOT_SET"), 2, "NOT_SET is not set"),
        (("http://127.0.0.1:9", "--dialect", "klingon"), 2, "klingon"),
        (("http://127.0.0.1:9",), 1, "connect"),
        ((), 2, "URL"),
    ],
)
def test_what_cannot_be_examined(run, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run("doctor", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") <= 2
