"""``backstream chat`` with pipes: options, standard input, media, exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PNG = (Path(__file__).parents[2] / "examples" / "lighthouse.png").read_bytes()
KEY = "canary-key-6f1d"

CONTENT = '{"type":"content","content":"Hel"}'
FINISH = '{"type":"finish","finish":{"reason":"stop"}}'


def test_text_goes_to_stdout_and_the_rest_to_stderr(run) -> None:
    done = run("chat", "hello there")
    assert done.returncode == 0
    assert done.stdout.startswith("I am **Echo**")
    assert "hello there" in done.stdout
    assert done.stdout.endswith("\n")
    assert "not a language model" in done.stderr
    assert "embedded" in done.stderr


def test_words_of_a_prompt_need_no_quotes(run) -> None:
    assert "“hello there”" in run("chat", "hello", "there").stdout


def test_it_talks_to_a_server(run, serve) -> None:
    url = serve()
    done = run("chat", "--url", url, "hi")
    assert (done.returncode, done.stderr) == (0, "")
    assert "“hi”" in done.stdout


def test_the_server_may_be_named_by_the_environment(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, FINISH))
    assert run("chat", "hi", BACKSTREAM_URL=server.url).stdout == "Hel\n"


def test_everything_asked_for_is_in_the_request(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, FINISH))
    done = run(
        *("chat", "--url", server.url, "-m", "some-model", "--provider", "Some", "--system", "Be brief."),
        *("-p", "temperature=0.5", "-p", "note=plain text", "-p", 'stop=["a"]', "-p", "timeout=3"),
        *("--api-key-env", "MY_KEY", "--server-key-env", "SERVER_KEY", "hi"),
        MY_KEY=KEY,
        SERVER_KEY="server-" + KEY,
    )
    assert done.returncode == 0
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert json.loads(body) == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "api_key": KEY,
        "provider": "Some",
        "temperature": 0.5,
        "note": "plain text",
        "stop": ["a"],
        "timeout": 3,
    }
    assert f"Authorization: Bearer server-{KEY}".encode().lower() in head.lower()


@pytest.mark.parametrize("option", ["--media", "-f"])
def test_media_arrive_whole(run, tmp_path: Path, option: str) -> None:
    (tmp_path / "light.png").write_bytes(PNG)
    done = run("chat", "what is this?", option, "light.png")
    assert hashlib.sha256(PNG).hexdigest() in done.stdout
    assert "light.png" in done.stdout


def test_a_media_url_is_passed_on(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, FINISH))
    run("chat", "--url", server.url, "-f", "http://example.invalid/cat.png", "hi")
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["media"][0][0] == "http://example.invalid/cat.png"


def test_piped_text_is_the_prompt(run) -> None:
    assert "“from a pipe”" in run("chat", stdin=b"from a pipe").stdout


def test_piped_text_is_joined_to_a_prompt(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, FINISH))
    run("chat", "--url", server.url, "Review this", stdin="diff é\n".encode())
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["messages"] == [
        {"role": "user", "content": "Review this\n\ndiff é\n"}
    ]


def test_piped_bytes_are_media(run) -> None:
    assert hashlib.sha256(PNG).hexdigest() in run("chat", "what is this?", stdin=PNG).stdout


def test_media_alone_are_a_prompt(run) -> None:
    assert hashlib.sha256(PNG).hexdigest() in run("chat", stdin=PNG).stdout


def test_json_is_events_and_nothing_else(run) -> None:
    done = run("chat", "--json", "hi")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "provider"
    assert {"content", "finish", "usage"} <= {event["type"] for event in events}
    assert done.stderr == ""


def test_json_shows_no_control_character(run, raw_server, tools) -> None:
    server = raw_server(tools.sse('{"type":"content","content":"a\\u001b\\u009b\\u007fb"}', FINISH))
    done = run("chat", "--url", server.url, "--json", "hi")
    assert json.loads(done.stdout.splitlines()[0])["content"] == "a\x1b\x9b\x7fb"
    assert all(c.isprintable() or c == "\n" for c in done.stdout)


def test_piped_output_is_the_text_as_it_came(run, raw_server, tools) -> None:
    server = raw_server(tools.sse('{"type":"content","content":"\\u001b[1m **x** \\n"}', FINISH))
    assert run("chat", "--url", server.url, "hi").stdout == "\x1b[1m **x** \n"


def test_reasoning_is_not_mixed_in(run) -> None:
    done = run("chat", "-m", "echo-reasoning", "hi")
    assert "I look at what arrived" not in done.stdout + done.stderr


def test_tool_calls_are_on_stderr(run) -> None:
    done = run("chat", "-m", "echo-tools", "hi")
    assert done.stdout == ""
    assert "tool call: echo({})" in done.stderr


def test_a_cut_answer_says_so(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, '{"type":"finish","finish":{"reason":"length"}}'))
    done = run("chat", "--url", server.url, "hi")
    assert (done.returncode, done.stdout) == (0, "Hel\n")
    assert "ended early: length" in done.stderr


def test_notices_are_on_stderr(run, raw_server, tools) -> None:
    notice = '{"type":"message","message":"ValueError: odd\\u001b[2J","error":"ValueError"}'
    done = run("chat", "--url", raw_server(tools.sse(CONTENT, notice, FINISH)).url, "hi")
    assert done.stdout == "Hel\n"
    assert "notice: ValueError: odd" in done.stderr
    assert "\x1b" not in done.stderr


# --- media of the answer ----------------------------------------------------------------------------------------------


def test_media_of_the_answer_are_saved_and_never_overwrite(run, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("chat", "-m", "echo-media", "draw", "--output", "pictures").returncode == 0
    saved = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in saved] == ["media-1-2.png", "media-1.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in saved)


@pytest.mark.parametrize("name", ["/media/cat.png", "/media/..%2F..%2Fcat.png", "/media/%2E%2E%5C%2Ecat.png"])
def test_media_of_the_server_are_fetched_under_a_safe_name(run, raw_server, tools, tmp_path: Path, name: str) -> None:
    picture = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG
    event = json.dumps({"type": "content", "content": "![x](x)", "urls": [name]})
    server = raw_server(tools.sse(event, FINISH), picture)
    done = run("chat", "--url", server.url, "-o", "out", "hi")
    assert done.returncode == 0, done.stderr
    assert server.requests[1].startswith(f"GET {name} ".encode())
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*cat*")] == [Path("out/cat.png")]
    assert (tmp_path / "out" / "cat.png").read_bytes() == PNG


def test_half_a_file_is_not_kept(run, raw_server, tools, tmp_path: Path) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 900000\r\n\r\n" + PNG
    event = json.dumps({"type": "content", "content": "x", "urls": ["/cat.png"]})
    done = run("chat", "--url", raw_server(tools.sse(event, FINISH), half).url, "-o", "out", "hi")
    assert done.returncode == 1
    assert "media 1 was not saved" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_media_of_another_server_are_not_fetched(run, raw_server, tools) -> None:
    other = raw_server(b"")
    event = json.dumps({"type": "content", "content": "x", "urls": other.url + "/cat.png?token=secret"})
    done = run("chat", "--url", raw_server(tools.sse(event, FINISH)).url, "-o", "out", "hi")
    assert done.returncode == 1
    assert "another server" in done.stderr
    assert "secret" not in done.stderr
    assert other.requests == []


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_sent(run, raw_server, tools, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = raw_server(tools.sse(CONTENT, FINISH))
    done = run("chat", "--url", server.url, "-o", "file/below", "hi")
    assert (done.returncode, done.stdout, server.requests) == (2, "", [])


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "code", "text"),
    [
        ("echo-fail-start", 1, "fail at the start"),
        ("echo-fail-middle", 1, "fail in the middle"),
        ("echo-fail-end", 1, "fail at the end"),
        ("echo-fail-rate", 1, "wait 1 s before trying again"),
        ("echo-fail-auth", 4, "--api-key-env"),
        ("echo-empty", 1, "answer is empty"),
    ],
)
def test_a_failed_answer_is_one_line_and_a_code(run, serve, model: str, code: int, text: str) -> None:
    done = run("chat", "--url", serve(), "-m", model, "--retries", "0", "hi")
    assert done.returncode == code
    assert text in done.stderr
    assert done.stderr.startswith("backstream: ")
    assert done.stderr.count("\n") == 1


def test_what_arrived_before_a_failure_is_printed(run) -> None:
    assert run("chat", "-m", "echo-fail-middle", "hi").stdout.startswith("I am **Echo**, the backend")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 900\r\n\r\ndata: %b\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: %b\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: %b\n\ndata: {nonsense}\n\n",
    ],
)
def test_an_answer_cut_off_is_incomplete(run, raw_server, answer: bytes) -> None:
    done = run("chat", "--url", raw_server(answer % CONTENT.encode()).url, "hi")
    assert (done.returncode, done.stdout) == (3, "Hel\n")
    assert done.stderr.count("\n") == 1


WRONG = [
    (("chat",), "no prompt"),
    (("chat", "  "), "no prompt"),
    (("chat", "hi", "--url", "None"), "URL"),
    (("chat", "hi", "--url", "ftp://x"), "URL"),
    (("chat", "hi", "--media", "missing.png"), "missing.png"),
    (("chat", "hi", "--media", "."), "--media .: it is a directory"),
    (("chat", "hi", "--param", "temperature"), "name=value"),
    (("chat", "hi", "--param", "model=x"), "--model"),
    (("chat", "hi", "--deadline", "tea=3"), "connect, headers"),
    (("chat", "hi", "--deadline", "total=soon"), "seconds"),
    (("chat", "hi", "--deadline", "total=-1"), "total"),
    (("chat", "hi", "--timeout", "x"), "--timeout"),
    (("chat", "hi", "--api-key-env", "NOT_SET"), "NOT_SET"),
    (("chat", "hi", "--proxy", "gopher://x", "--url", "http://192.0.2.1"), "gopher"),
    (("chat", "hi", "--nonsense"), "--nonsense"),
    (("nonsense",), "nonsense"),
    (("models", "--url", "nope"), "URL"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG, ids=lambda value: " ".join(value) if value else "")
def test_a_wrong_command_is_one_line_and_2(run, arguments: tuple[str, ...], text: str) -> None:
    done = run(*arguments)
    lines = done.stderr.splitlines()  # who would have answered is not among them
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(lines) == 1
    assert lines[0].startswith("backstream: ")
    assert not lines[0].removeprefix("backstream: ")[0].isupper()
    assert text in lines[0]


def test_nobody_there_is_one_line_and_1(run) -> None:
    done = run("chat", "--url", "http://127.0.0.1:9", "hi")
    assert done.returncode == 1
    assert "check that the server runs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_web_page_is_no_back_end(run, raw_server) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<h1>Page</h1>"
    done = run("chat", "--url", raw_server(page).url, "hi")
    assert done.returncode == 1
    assert "not an event stream" in done.stderr


def test_a_deadline_ends_the_wait(run, raw_server) -> None:
    done = run("chat", "--url", raw_server(b"", hold=True).url, "--deadline", "headers=0.05", "hi")
    assert done.returncode == 1
    assert "headers" in done.stderr


def test_a_timeout_is_silence(run, raw_server) -> None:
    assert "idle" in run("chat", "--url", raw_server(b"", hold=True).url, "--timeout", "0.05", "hi").stderr


def test_no_prompt_was_sent_nowhere(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT, FINISH))
    assert run("chat", "--url", server.url, stdin=b" \n").returncode == 2
    assert server.requests == []


# --- signals and pipes ------------------------------------------------------------------------------------------------


def test_ctrl_c_closes_the_connection_and_ends_with_130(start, raw_server, tools) -> None:
    server = raw_server(tools.sse(CONTENT), hold=True)
    process = start("chat", "--url", server.url, "hi")
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read(3) == b"Hel"
    tools.interrupt(process)
    out, err = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 130
    assert out == b"\n"
    assert err == b""
    assert server.left.wait(tools.PATIENCE_SECONDS)


def test_ctrl_c_before_the_answer_begins(start, raw_server, tools) -> None:
    server = raw_server(b"", hold=True)
    process = start("chat", "--url", server.url, "hi", "-v")
    process.stdin.close()
    process.stdin = None
    assert b"no key" in process.stderr.readline()
    tools.interrupt(process)
    process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 130


def test_ctrl_c_while_the_embedded_backend_answers(start, tools) -> None:
    process = start("chat", "-p", "pace_seconds=0.05", "hi")
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read(4) == b"I am"
    tools.interrupt(process)
    _, err = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 130
    assert err.count(b"\n") == 1


def test_ctrl_c_while_reading_standard_input(start, tools) -> None:
    process = start("chat", "hi", "-v")
    assert b"waiting for standard input" in process.stderr.readline()
    tools.interrupt(process)
    process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 130


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_ctrl_c_ends_what_cannot_be_cancelled(start, tools, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    process = start("chat", "hi", "--media", "pipe.png", "-v")  # nobody ever writes to it
    process.stdin.close()
    process.stdin = None
    process.stderr.readline()
    assert b"no key" in process.stderr.readline()
    tools.interrupt(process)
    process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 130


def test_a_closed_pipe_ends_quietly(start, serve, tools) -> None:
    process = start("chat", "--url", serve(), "-p", "pace_seconds=0.01", "hi")
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read(1) == b"I"
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(tmp_path: Path, tools) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [tools.SCRIPT, "chat", "hi"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            env=tools.environment(tmp_path),
            timeout=tools.PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[1].startswith("backstream: the output: No space left")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 2), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 2)])
def test_closed_streams_do_no_harm(tmp_path: Path, tools, closed: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" chat hi {closed}', str(tools.SCRIPT)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=tools.environment(tmp_path),
        timeout=tools.PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert (b"standard output is closed" in done.stderr) == (closed == ">&-")


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["echo", "echo-fail-start", "echo-fail-auth"])
def test_the_key_is_in_no_output(run, model: str) -> None:
    done = run("chat", "-vv", "-m", model, "--api-key-env", "MY_KEY", "private words", MY_KEY=KEY, BACKSTREAM_DEBUG="1")
    assert KEY not in done.stdout + done.stderr
    assert "private words" not in done.stderr


def test_a_key_given_as_a_name_is_not_repeated(run) -> None:
    done = run("chat", "--api-key-env", KEY.replace("-", "_"), "hi")
    assert done.returncode == 2
    assert "canary" not in done.stderr


def test_passwords_in_urls_are_not_repeated(run) -> None:
    for arguments in (("--url", f"http://me:{KEY}@127.0.0.1:9"), ("--proxy", f"http://me:{KEY}@127.0.0.1:9")):
        done = run("chat", "-vv", *arguments, "hi", BACKSTREAM_DEBUG="1")
        assert KEY not in done.stderr


def test_debug_shows_where_an_error_came_from(run) -> None:
    done = run("chat", "--url", "http://127.0.0.1:9", "hi", BACKSTREAM_DEBUG="1")
    assert "ConnectError" in done.stderr
    assert "File " in done.stderr


def test_verbose_logs_to_stderr(run, serve) -> None:
    done = run("chat", "-v", "--url", serve(), "hi")
    assert "info backstream.providers.backend_api: Server: model '', no key" in done.stderr
    assert "usage" in done.stderr


# --- small things -----------------------------------------------------------------------------------------------------


def test_characters_that_the_output_cannot_hold_are_replaced(run, raw_server, tools) -> None:
    server = raw_server(tools.sse('{"type":"content","content":"\\u65e5!"}', FINISH))
    assert run("chat", "--url", server.url, "hi", PYTHONIOENCODING="ascii").stdout == "?!\n"


def test_starting_is_cheap() -> None:
    code = (
        "import sys; from backstream.cli.program import run; run(['--version']);"
        "print(sorted({'asyncio', 'ssl', 'rich', 'uvicorn', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_a_background_job_ignores_ctrl_c(tools, tmp_path: Path) -> None:
    """A shell starts those with the signal ignored."""
    process = subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$0\" chat -p pace_seconds=0.01 hi", str(tools.SCRIPT)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=tools.environment(tmp_path),
    )
    assert process.stdout is not None
    assert process.stdout.read(4) == b"I am"
    tools.interrupt(process)
    out, _ = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert process.returncode == 0
    assert "“hi”" in out.decode()
