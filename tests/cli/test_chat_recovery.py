"""``backstream chat`` where back-ends fail: several models, retries, policies, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LIMITED = DOWN.replace(b"503 Service Unavailable", b"429 Too Many Requests")
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def said(*words: str, whole: bool = True) -> bytes:
    events = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
    ending = [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}] if whole else []
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in [*events, *ending])
    return HEAD + body.encode() + (b"data: [DONE]\n\n" if whole else b"")


CUT = said("Hel", whole=False)


@pytest.fixture
def pair(tmp_path: Path, raw_server: Callable[..., Any]) -> Callable[..., Any]:
    """Configure the providers ``first`` and ``second`` by what they answer; gives both servers."""

    def configure(first: list[bytes], second: list[bytes], more: str = "") -> tuple[Any, Any]:
        servers = raw_server(*first), raw_server(*second)
        tables = [
            f'[providers.{name}]\nurl = "{server.url}"\n'
            for name, server in zip(("first", "second"), servers, strict=True)
        ]
        (tmp_path / "backstream.toml").write_text("".join(tables) + more)
        return servers

    return configure


@pytest.mark.parametrize("models", [("-m", "first/a,second/b"), ("-m", "first/a", "--model", "second/b")])
def test_the_next_model_is_asked_and_that_is_told(run, pair, models: tuple[str, ...]) -> None:
    pair([REFUSED], [said("Hello.")])
    done = run("chat", *models, "hi")
    assert (done.returncode, done.stdout) == (0, "Hello.\n")
    assert done.stderr == "switched from first/a to second/b: AuthenticationError\n"


def test_a_routing_list_is_a_model(run, pair) -> None:
    pair([CUT], [said("Whole.")], '[routes]\nsmart = { to = ["first/a", "second/b"], mid_stream = "whole" }\n')
    done = run("chat", "-m", "smart", "hi")
    assert (done.returncode, done.stdout) == (0, "Whole.\n")
    assert done.stderr == "switched from first/a to second/b: IncompleteStream\n"


def test_what_was_held_back_is_not_said_to_be_printed(run, pair) -> None:
    pair([CUT, CUT], [])
    done = run("chat", "-m", "first/a", "--mid-stream", "whole", "hi")
    assert (done.returncode, done.stdout.strip()) == (3, "")
    assert "printed" not in done.stderr
    assert "; tried first/a (IncompleteStream), first/a (IncompleteStream)" in done.stderr


def test_all_that_failed_is_told_in_one_line(run, pair) -> None:
    pair([REFUSED], [DOWN])
    done = run("chat", "-m", "first/a,second/b", "--retries", "0", "hi")
    assert done.returncode == 4  # as the model that was wanted ended
    assert done.stderr.count("\n") == 1
    assert "; tried first/a (AuthenticationError), second/b (UnavailableError)" in done.stderr


def test_a_model_is_asked_as_often_as_was_said(run, pair) -> None:
    first, _ = pair([LIMITED, said("Hello.")], [b""])
    assert run("chat", "-m", "first/a", "hi").stdout == "Hello.\n"
    assert len(first.requests) == 2
    assert run("chat", "-m", "first/a", "--retries", "0", "hi").stdout == "Hello.\n"  # of the last script
    first, _ = pair([LIMITED], [b""])
    done = run("chat", "-m", "first/a", "--retries", "0", "hi")
    assert (done.returncode, len(first.requests)) == (1, 1)


@pytest.mark.parametrize(("policy", "code", "text"), [("fail", 3, "Hel\n"), ("restart", 0, "Whole.\n")])
def test_an_answer_that_breaks(run, pair, policy: str, code: int, text: str) -> None:
    """In a pipe nothing can be taken back, so an answer begun anew is given when it is whole."""
    pair([CUT], [said("Whole.")])
    done = run("chat", "-m", "first/a,second/b", "--mid-stream", policy, "hi")
    assert (done.returncode, done.stdout) == (code, text)


def test_events_say_themselves_what_they_void(run, pair) -> None:
    pair([CUT], [said("Whole.")])
    done = run("chat", "-m", "first/a,second/b", "--mid-stream", "restart", "--json", "hi")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    shown = [each.get("content") or each.get("kept") for each in events if each["type"] in ("content", "switched")]
    assert shown == ["Hel", "nothing", "Whole."]


def test_a_screen_shows_what_is_void_and_what_holds(terminal, pair) -> None:
    pair([CUT], [said("Whole.")])
    screen = terminal("chat", "-m", "first/a,second/b", "--mid-stream", "restart", "--no-markdown", "hi")
    screen.expect(r"using first/a, then second/b")
    shown = screen.expect(r"Whole\.\r\n")
    assert "Hel\r\n" in shown
    assert "switched from first/a to second/b: IncompleteStream; the answer begins anew" in shown
    assert screen.wait() == 0


def test_a_screen_with_markdown_too(terminal, pair) -> None:
    pytest.importorskip("rich", reason="an extra")
    pair([CUT], [said("Whole.")])
    screen = terminal("chat", "-m", "first/a,second/b", "--mid-stream", "restart", "hi")
    shown = screen.expect(r"Whole\.")
    assert shown.index("Hel") < shown.index("the answer begins anew")
    assert screen.wait() == 0


def test_the_whole_time_is_over_wherever_it_is_spent(run, pair) -> None:
    pair([LIMITED.replace(b"\r\n\r\n", b"\r\nRetry-After: 30\r\n\r\n")], [b""])
    done = run("chat", "-m", "first/a", "--deadline", "total=1", "hi")
    assert done.returncode == 1
    assert "429" in done.stderr  # a wait that would reach past the end is not begun


@pytest.mark.parametrize("name", ["connect", "headers", "first_content", "between_content", "total", "idle"])
def test_every_clock_has_its_name(run, pair, name: str) -> None:
    pair([said("Hello.")], [b""])
    assert run("chat", "-m", "first/a", "--deadline", f"{name}=20", "hi").stdout == "Hello.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--hedge-after", "-1"), "--hedge-after wants seconds"),
        (("--switch-after", "nan"), "--switch-after wants seconds"),
        (("--retries", "11"), "11 is not in the range"),
        (("-m", "a/b,"), "empty name"),
        (("-m", "a/b,http://x"), "--url"),
        (("-m", "first/a,second/b", "--api-key-env", "MY_KEY"), "whose key it is"),
        (("-m", "first/a,second/b", "--server-key-env", "MY_KEY"), "--server-key-env"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_sent(run, pair, arguments: tuple[str, ...], told: str) -> None:
    first, second = pair([said("a")], [said("b")])
    done = run("chat", *arguments, "hi", MY_KEY="k")
    assert done.returncode == 2
    assert told in done.stderr
    assert first.requests == second.requests == []


def test_several_models_of_one_provider_or_server(run, pair, raw_server) -> None:
    first, _ = pair([REFUSED, said("Hello.")], [b""])
    done = run("chat", "--provider", "first", "-m", "a,b", "--hedge-after", "20", "--switch-after", "0", "hi")
    assert done.stdout == "Hello.\n"
    assert [json.loads(each.partition(b"\r\n\r\n")[2])["model"] for each in first.requests] == ["a", "b"]
    server = raw_server(REFUSED, said("Hi."))
    done = run("chat", "--url", server.url, "--dialect", "openai_chat", "-m", "a,b", "hi")
    assert (done.stdout, len(server.requests)) == ("Hi.\n", 2)
