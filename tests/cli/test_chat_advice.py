"""What ``backstream chat`` says of wrong arguments, files and refusals, and where an answer's media are in its text."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

PNG = (Path(__file__).parents[2] / "examples" / "lighthouse.png").read_bytes()
URI = "data:image/png;base64," + base64.b64encode(PNG[:300]).decode()
FINISH = '{"type":"finish","finish":{"reason":"stop"}}'
UNKNOWN = bytes(range(128, 256)) * 4


def status(line: str, body: str, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {line}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("backstream: ").rstrip()


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("chat", "hi"), ("models",), ("models", "Some"), ("providers",)], ids=" ".join)
def test_a_server_that_wants_a_key_is_told_by_the_server_key_option(run, raw_server, command) -> None:
    server = raw_server(status("401 Unauthorized", '{"error":{"message":"Not authenticated"}}'))
    done = run(*command, "--url", server.url)
    assert done.returncode == 4
    assert "--server-key-env NAME" in only_line(done)
    assert "--api-key-env" not in done.stderr


@pytest.mark.parametrize(("line", "said"), [("429 No", "wait 7 s before"), ("503 No", "wait 7 s before")])
def test_how_long_to_wait_is_told(run, raw_server, line: str, said: str) -> None:
    refused = status(line, '{"error":{"message":"too many"}}').replace(b"\r\n", b"\r\nRetry-After: 7\r\n", 1)
    assert said in only_line(run("chat", "hi", "--retries", "0", "--url", raw_server(refused).url))


def test_a_provider_that_wants_a_key_is_told_by_the_api_key_option(run, raw_server, tools) -> None:
    event = '{"type":"auth","auth":"MissingAuthError","message":"MissingAuthError: Add a key"}'
    done = run("chat", "--url", raw_server(tools.sse(event)).url, "hi")
    assert done.returncode == 4
    assert "--api-key-env NAME" in only_line(done)
    assert "--server-key-env" not in done.stderr


@pytest.mark.parametrize("command", [("chat", "hi"), ("models",), ("providers",)], ids=" ".join)
@pytest.mark.parametrize("body", ['{"detail":"Not Found"}', "<h1>Not Found</h1>"])
def test_a_wrong_path_is_told_by_the_url_option(run, raw_server, command, body: str) -> None:
    kind = "text/html" if body.startswith("<") else "application/json"
    done = run(*command, "--url", raw_server(status("404 Not Found", body, kind)).url + "/wrong")
    assert done.returncode == 1
    assert "check --url" in only_line(done)


def test_an_unknown_provider_is_told_by_the_list_of_providers(run, serve) -> None:
    done = run("chat", "--provider", "Nobody", "hi", "--url", serve())
    assert done.returncode == 1
    assert done.stderr == "backstream: Provider not found (404); list the providers with: backstream providers\n"
    done = run("chat", "--provider", "Nobody", "hi")
    assert done.returncode == 2
    assert only_line(done) == "unknown provider 'Nobody'; list the providers with: backstream providers"


def test_an_unknown_provider_may_also_be_an_event(run, raw_server, tools) -> None:
    event = '{"type":"error","error":"ProviderNotFoundError","message":"ProviderNotFoundError: Nobody"}'
    done = run("chat", "--url", raw_server(tools.sse(event)).url, "hi")
    assert "backstream providers" in only_line(done)


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nofile.jpg", None, "--media nofile.jpg: there is no such file"),
        ("empty.jpg", b"", "--media empty.jpg: it is empty"),
        ("some", UNKNOWN, "--media some: its type is unknown; give it an extension"),
        ("two\nlines.jpg", PNG, "--media two lines.jpg: its name holds a control character"),
        (os.fsdecode(b"caf\xe9.jpg"), None, r"--media caf\xe9.jpg: there is no such file"),
        ("data:nonsense", None, "--media data:…: "),
    ],
)
def test_a_file_that_cannot_be_sent_is_named_with_its_option(run, tmp_path: Path, name, content, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run("chat", "hi", "--media", name)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("backstream: " + said)
    if not name.startswith("data:"):
        only_line(done)  # nobody was introduced
    assert "media[" not in done.stderr


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no such names on this system")
def test_a_pipe_that_cannot_be_sent_is_named_with_its_option(tmp_path: Path, tools) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" chat hi --media /dev/fd/9 9<&0 </dev/null', str(tools.SCRIPT)],
        input=UNKNOWN,
        capture_output=True,
        env=tools.environment(tmp_path),
        timeout=tools.PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert b"backstream: --media /dev/fd/9: " in done.stderr


def test_a_file_whose_name_is_not_text_is_sent(run, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(PNG)
    done = run("chat", "hi", "--media", name)
    assert done.returncode == 0, done.stderr
    assert "image/png" in done.stdout


def test_unknown_bytes_on_standard_input_are_told(run, raw_server, tools) -> None:
    server = raw_server(tools.sse(FINISH))
    done = run("chat", "hi", "--url", server.url, stdin=UNKNOWN)
    assert done.returncode == 2
    assert "standard input" in only_line(done)
    assert "--media FILE" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chat", "caf\udce9"), "the prompt is not UTF-8"),
        (("chat", "hi", "--system", "caf\udce9"), "--system is not UTF-8"),
        (("chat", "hi", "--model", "caf\udce9"), "--model is not UTF-8"),
        (("chat", "hi", "--param", "a=caf\udce9"), "--param is not UTF-8"),
        (("models", "caf\udce9"), "the provider's name is not UTF-8"),
        (("caf\udce9",), r"no such command 'caf\xe9'"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, tuple) else "",
)
def test_arguments_that_are_not_text_are_told(run, arguments, said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert only_line(done).startswith(said)


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_not_called_missing(run, value: str) -> None:
    for option in ("--api-key-env", "--server-key-env"):
        line = only_line(run("chat", option, "MY_KEY", "hi", MY_KEY=value))
        assert "MY_KEY for the key is empty" in line
        assert "not set" not in line


def test_a_refused_connection_is_told_in_words(run) -> None:
    line = only_line(run("chat", "--url", "http://127.0.0.1:9", "hi"))
    assert line.startswith("no connection to 127.0.0.1 port 9: connection refused; ")


# --- media of the answer in its text ----------------------------------------------------------------------------------


def test_saved_media_are_named_in_piped_text(run, tmp_path: Path) -> None:
    done = run("chat", "-m", "echo-media", "draw", "--output", "pictures")
    assert done.returncode == 0
    assert "![a gradient](pictures/media-1.png)" in done.stdout
    assert "base64" not in done.stdout
    assert done.stdout.count("media-1.png") == 1
    assert done.stderr.count("saved pictures/media-1.png") == 1
    assert (tmp_path / "pictures" / "media-1.png").read_bytes().startswith(b"\x89PNG")


def test_media_that_are_not_saved_stay_in_piped_text(run) -> None:
    assert "](data:image/png;base64," in run("chat", "-m", "echo-media", "draw").stdout


def test_events_are_not_changed_by_saving(run) -> None:
    done = run("chat", "-m", "echo-media", "draw", "--output", "pictures", "--json")
    assert "](data:image/png;base64," in done.stdout
    assert "saved pictures/media-1.png" in done.stderr


def test_a_medium_that_comes_twice_is_saved_once(run, raw_server, tools, tmp_path: Path) -> None:
    event = json.dumps({"type": "content", "content": f"![a]({URI}) <img src='{URI}'>", "urls": [URI]})
    server = raw_server(tools.sse(event, event, FINISH))
    done = run("chat", "--url", server.url, "hi", "-o", "my (own) folder")
    link = "my%20%28own%29%20folder/media-1.png"
    assert done.stdout == f"![a]({link}) <img src='{link}'>" * 2 + "\n"
    assert only_line(done) == "saved my (own) folder/media-1.png"
    assert [path.name for path in (tmp_path / "my (own) folder").iterdir()] == ["media-1.png"]


def test_media_saved_before_a_failure_are_told(run, raw_server, tools) -> None:
    event = json.dumps({"type": "content", "content": f"![a]({URI})", "urls": URI})
    error = '{"type":"error","error":"SomeError","message":"SomeError: no more"}'
    done = run("chat", "--url", raw_server(tools.sse(event, error)).url, "hi", "-o", "out")
    assert (done.returncode, done.stdout) == (1, "![a](out/media-1.png)\n")
    assert done.stderr.splitlines()[0] == "backstream: saved out/media-1.png"


def test_a_data_uri_that_cannot_be_saved_stays(run, raw_server, tools) -> None:
    event = json.dumps(
        {"type": "content", "content": "![a](data:image/png;base64,!)", "urls": "data:image/png;base64,!"}
    )
    done = run("chat", "--url", raw_server(tools.sse(event, FINISH)).url, "hi", "-o", "out")
    assert (done.returncode, done.stdout) == (1, "![a](data:image/png;base64,!)\n")
    assert only_line(done).startswith("media 1 was not saved: ")


def test_media_saved_before_nobody_read_any_more_are_told(start, raw_server, tools) -> None:
    event = json.dumps({"type": "content", "content": f"![a]({URI})" + "x" * 200_000, "urls": URI})
    process = start("chat", "--url", raw_server(tools.sse(event, FINISH)).url, "hi", "-o", "out")
    process.stdout.close()
    process.stdout = None
    process.stdin.close()
    process.stdin = None
    _, err = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert (process.returncode, err) == (141, b"backstream: saved out/media-1.png\n")
