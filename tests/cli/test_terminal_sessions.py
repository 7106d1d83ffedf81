"""``backstream chat`` on a terminal: interactive sessions, live Markdown, the upload bar, Ctrl-C."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

pytest.importorskip("pty", reason="terminals of this kind are Unix's")

PNG = (Path(__file__).parents[2] / "examples" / "lighthouse.png").read_bytes()
ESCAPE = "\x1b"


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def content(text: str) -> str:
    return json.dumps({"type": "content", "content": text})


FINISH = '{"type":"finish","finish":{"reason":"stop"}}'


def test_a_session_carries_the_conversation_along(terminal, tmp_path: Path) -> None:
    session = terminal("chat", "--no-markdown")
    session.expect("> ")
    session.type("first question\n")
    assert "1 message arrived" in session.expect("“first question”")
    session.expect("> ")
    session.type("second question\n")
    assert "3 messages arrived" in session.expect("“second question”")
    session.expect("> ")
    session.type("\x04")
    assert session.wait() == 0
    history = tmp_path / "state" / "backstream" / "history"
    assert history.read_text().splitlines() == ["first question", "second question"]
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700


def test_the_state_of_a_conversation_is_sent_back(terminal, raw_server, tools) -> None:
    state = '{"type":"conversation","conversation":{"Some":{"id":"c-1"}}}'
    server = raw_server(tools.sse(content("one"), state, FINISH), tools.sse(content("two"), FINISH))
    session = terminal("chat", "--url", server.url, "--provider", "Some")
    for said, answered in (("hi", "one"), ("again", "two")):
        session.expect("> ")
        session.type(said + "\n")
        session.expect(answered)
    session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    first, second = (json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests)
    assert "conversation" not in first
    assert second["conversation"] == {"id": "c-1"}
    assert [message["content"] for message in second["messages"]] == ["hi", "one", "again"]


def test_the_commands_of_a_session(terminal, tmp_path: Path) -> None:
    (tmp_path / "light.png").write_bytes(PNG)
    session = terminal("chat", "--no-markdown")
    session.expect("> ")
    session.type("/help\n")
    session.expect("/media FILE")
    session.expect("> ")
    session.type("/media missing.png\n")
    session.expect("backstream: /media missing.png: there is no such file")
    session.expect("> ")
    session.type("/media light.png\n")
    session.expect("goes along")
    session.expect("> ")
    session.type("look\n")
    session.expect("image/png, 73,778 bytes")
    session.expect("> ")
    session.type("/save talk.md\n")
    session.expect("saved talk.md")
    session.expect("> ")
    session.type("/save talk.md\n")
    session.expect("backstream: talk.md: File exists")
    session.expect("> ")
    session.type("/clear\n")
    session.expect("forgotten")
    session.expect("> ")
    session.type("/nonsense\n")
    session.expect("no command /nonsense")
    session.expect("> ")
    session.type("//slashed\n")
    assert "1 message arrived" in session.expect("“/slashed”")
    session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    assert (tmp_path / "talk.md").read_text().startswith("## user\n\nlook\n\n## assistant\n\nI am **Echo**")


def test_saved_media_need_no_advice(terminal) -> None:
    shown = terminal("chat", "-m", "echo-media", "draw", "--output", "pictures")
    assert shown.wait() == 0
    assert "media: a gradient" in shown.seen
    assert "--output" not in shown.seen
    assert shown.seen.count("media-1.png") == 1


def test_a_failed_turn_can_be_asked_again(terminal) -> None:
    session = terminal("chat", "-m", "echo-fail-start")
    session.expect("> ")
    session.type("hi\n")
    session.expect("backstream: .*fail at the start")
    session.expect("> ")
    session.type("\x04")
    assert session.wait() == 0


def test_ctrl_c_stops_the_answer_and_not_the_session(terminal) -> None:
    session = terminal("chat", "-p", "pace_seconds=0.05", "--no-markdown")
    session.expect("> ")
    session.type("hi\n")
    session.expect("I am")
    session.type("\x03")
    session.expect("stopped")
    session.expect("> ")
    session.type("hi again\n")
    assert "language" in session.expect("language model")
    session.type("\x03")
    session.expect("stopped")
    session.expect("> ")
    session.interrupt("\n")
    assert session.wait() == 130


def test_ctrl_c_at_a_fresh_prompt_asks_first(terminal) -> None:
    session = terminal("chat")
    session.expect("> ")
    session.type("half a line")
    session.expect("half a line")
    session.interrupt("again leaves")
    session.expect("> ")
    session.interrupt("\n")
    assert session.wait() == 130


def test_json_wants_a_prompt(terminal) -> None:
    session = terminal("chat", "--json")
    session.expect("--json needs a prompt")
    assert session.wait() == 2


def test_markdown_is_rendered(terminal, raw_server, tools) -> None:
    server = raw_server(tools.sse(content("# Title\n\nSome **bold** List<String>\n\n- one\n"), FINISH))
    shown = terminal("chat", "--url", server.url, "hi")
    assert shown.wait() == 0
    text = plain(shown.seen)
    assert "Title" in text
    assert "# Title" not in text
    assert "Some bold List<String>" in text
    assert "• one" in text
    assert f"{ESCAPE}[?25l" not in shown.seen  # the cursor is never hidden


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [(("--no-markdown",), {}), ((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"})],
)
def test_markdown_is_left_alone_when_asked(terminal, raw_server, tools, arguments, variables) -> None:
    server = raw_server(tools.sse(content("Some **bold**"), FINISH))
    shown = terminal("chat", "--url", server.url, "hi", *arguments, **variables)
    assert shown.wait() == 0
    assert "Some **bold**" in shown.seen


def test_without_rich_text_is_plain(terminal, raw_server, tools, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')")
    server = raw_server(tools.sse(content("Some **bold**"), FINISH))
    shown = terminal("chat", "--url", server.url, "hi", PYTHONPATH=str(tmp_path))
    assert shown.wait() == 0
    assert "Some **bold**" in shown.seen


@pytest.mark.parametrize("arguments", [(), ("--no-markdown",)])
def test_control_characters_never_reach_the_terminal(terminal, raw_server, tools, arguments) -> None:
    hostile = f"a{ESCAPE}]0;title\x07b{ESCAPE}[31mc\x9b2Jd\u202ee\rf"
    events = [
        json.dumps({"type": kind, "token": hostile, "content": hostile, "message": hostile})
        for kind in ("reasoning", "content", "message")
    ]
    calls = json.dumps({"type": "tool_calls", "tool_calls": [{"function": {"name": hostile, "arguments": hostile}}]})
    shown = terminal("chat", "--url", raw_server(tools.sse(*events, calls, FINISH)).url, "hi", *arguments)
    assert shown.wait() == 0
    assert f"{ESCAPE}]" not in shown.seen
    assert f"{ESCAPE}[31m" not in shown.seen
    assert not {"\x07", "\x9b", "\u202e"} & set(shown.seen)
    assert "␛]0;title␇" in plain(shown.seen)


def test_reasoning_is_dimmed_beside_the_answer(terminal, raw_server, tools) -> None:
    events = ('{"type":"reasoning","token":"hmm"}', '{"type":"reasoning","token":" so"}', content("yes"), FINISH)
    shown = terminal("chat", "--url", raw_server(tools.sse(*events)).url, "--no-markdown", "hi")
    assert shown.wait() == 0
    assert f"{ESCAPE}[2mhmm{ESCAPE}[0m{ESCAPE}[2m so{ESCAPE}[0m\r\nyes\r\n" in shown.seen


def test_media_are_told_instead_of_printed(terminal) -> None:
    shown = terminal("chat", "-m", "echo-media", "draw")
    assert shown.wait() == 0
    assert "media: a gradient" in shown.seen
    assert "base64" not in shown.seen


def test_a_large_upload_shows_a_bar(terminal, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(PNG[:100] + bytes(3 * 1024 * 1024))
    shown = terminal("chat", "--media", "large.png", "hi")
    assert shown.wait() == 0
    assert re.search(r"\rsending \d+\.\d MiB of 4\.0 MiB +\d+ % \[", shown.seen), shown.seen[:400]
    last = shown.seen.rindex("sending")
    assert f"\r{ESCAPE}[K" in shown.seen[last:]  # and takes it away


def test_ctrl_c_leaves_a_sane_terminal(terminal) -> None:
    shown = terminal("chat", "-p", "pace_seconds=0.05", "hi")
    shown.expect("I am")
    shown.type("\x03")
    assert shown.wait() == 130
    assert shown.seen.endswith(f"\r\n\r{ESCAPE}[K")
    assert shown.seen.count(f"{ESCAPE}[?7l") == shown.seen.count(f"{ESCAPE}[?7h")
    assert f"{ESCAPE}[?25l" not in shown.seen
