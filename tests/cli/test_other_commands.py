"""``serve``, ``keys``, ``models``, ``providers``, ``completion`` and the program itself."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# --- the program ------------------------------------------------------------------------------------------------------


def test_version(run) -> None:
    from backstream import __version__

    assert run("--version").stdout == f"backstream {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [(), ("chat",), ("serve",), ("keys",), ("keys", "add"), ("models",), ("providers",), ("explain",), ("completion",)],
    ids=" ".join,
)
def test_help_says_how(run, command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: backstream {' '.join(command)}".rstrip())
    if len(command) < 2:
        assert "Examples:" in done.stdout
        assert "130  Ctrl-C" in done.stdout


def test_no_line_of_help_is_cut(run) -> None:
    assert "..." not in run("--help", COLUMNS="80").stdout.partition("\n")[2]
    assert "..." not in run("keys", "--help", COLUMNS="80").stdout.partition("\n")[2]


@pytest.mark.parametrize("command", ["--help", "keys add laptop", "models"])
def test_nothing_is_printed_to_nowhere(tmp_path: Path, tools, command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" {command} >&-', str(tools.SCRIPT)],
        capture_output=True,
        env=tools.environment(tmp_path),
        timeout=tools.PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"backstream: standard output is closed; ")
    assert list(tmp_path.iterdir()) == []


def test_a_server_needs_no_standard_output(tmp_path: Path, tools) -> None:
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" serve --port 0 >&-', str(tools.SCRIPT)],
        stderr=subprocess.PIPE,
        env=tools.environment(tmp_path),
    )
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.readline().startswith(b"listening on ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=tools.PATIENCE_SECONDS) == 0


def test_no_command_is_help_and_2(run) -> None:
    done = run()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_a_defect_is_one_line(tmp_path: Path) -> None:
    """Even where our own code fails, with a secret in the error's text."""
    code = (
        "import sys\nfrom backstream.cli import program\n"
        "def broken(arguments): raise KeyError('canary')\n"
        "program._invoke = broken\nsys.exit(program.run(['chat']))"
    )
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"BACKSTREAM_DEBUG": debug}, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[0].startswith("backstream: internal error (KeyError); set BACKSTREAM_DEBUG=1")
        assert ("File " in done.stderr) == bool(debug)
        assert "KeyError: " not in done.stderr


# --- serve ------------------------------------------------------------------------------------------------------------


def test_serve_answers_until_asked_to_stop(start) -> None:
    process = start("serve", "--port", "0", "--log", "off")
    url = process.stderr.readline().decode().split()[-1]
    said = [process.stderr.readline().decode() for _ in range(3)]  # what this buffers, communicate() does not see
    assert said[0] == f"base URL for OpenAI: {url}/v1\n"
    assert said[1] == f"for Anthropic, Gemini, Mistral, Ollama and g4f: {url}\n"
    assert said[2] == "no provider has a key; Echo, which needs none, is no language model\n"
    assert get(url + "/healthz")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 0


def test_serve_tells_whose_keys_it_has_and_never_the_key(start) -> None:
    process = start("serve", "--port", "0", OPENAI_API_KEY="canary-of-nobody")
    said = [process.stderr.readline().decode() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert said[3].startswith("with your keys: openai, openai-responses; name a model as openai/MODEL")
    assert "canary" not in "".join(said)


def test_ctrl_c_ends_a_server_with_130(start, run) -> None:
    process = start("serve", "--port", "0")
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_ctrl_c_ends_a_server_in_the_middle_of_an_answer(start) -> None:
    server = start("serve", "--port", "0")
    url = server.stderr.readline().decode().split()[-1]
    client = start("chat", "--url", url, "-p", "pace_seconds=5", "-m", "echo-reasoning", "--json", "hi")
    client.stdin.close()
    client.stdin = None
    assert b"provider" in client.stdout.readline()
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=30)
    assert server.returncode == 130
    client.communicate(timeout=30)
    assert client.returncode in (1, 3)


def test_other_machines_need_keys(run) -> None:
    done = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "backstream keys add" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line_and_2(run, serve) -> None:
    done = run("serve", "--port", serve().rpartition(":")[2])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--relay", "nonsense"),
        ("--relay", "Home=ftp://x"),
        ("--relay", "Home=http://127.0.0.1:1", "--relay", "Home=http://127.0.0.1:2"),
        ("--provider", "nonsense"),
        ("--provider", "no_such_module:Some"),
        ("--provider", "backstream:NoSuchClass"),
        ("--provider", "backstream:Content"),
        ("--framing", "xml"),
        ("--allow-origin", "*"),
        ("--port", "70000"),
    ],
    ids=" ".join,
)
def test_a_server_that_cannot_work_is_one_line_and_2(run, arguments: tuple[str, ...]) -> None:
    done = run("serve", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("framing", "begin"), [("sse", "event:"), ("jsonl", "{")])
def test_framing(serve, framing: str, begin: str) -> None:
    url = serve("--framing", framing)
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
    with urllib.request.urlopen(urllib.request.Request(url + "/backend-api/v2/conversation", body)) as answer:
        assert answer.read().decode().lstrip().startswith((begin, "data:") if framing == "sse" else begin)


def test_a_relay_passes_on(run, serve) -> None:
    inner = serve()
    outer = serve("--relay", f"Home={inner}")
    done = run("chat", "--url", outer, "hi")
    assert (done.returncode, done.stderr) == (0, "")
    assert "“hi”" in done.stdout
    assert "Home" in run("providers", "--url", outer).stdout


def test_the_models_of_a_relay_are_listed(serve) -> None:
    inner = serve()
    outer = serve("--relay", f"Home={inner}")
    listed = []
    for url in (inner, outer):
        with urllib.request.urlopen(f"{url}/v1/models") as answer:
            listed.append({model["id"]: model["owned_by"] for model in json.load(answer)["data"]})
    assert "echo" in listed[0]
    assert set(listed[1]) <= set(listed[0])
    assert listed[1]["echo"] == "Home"


def test_a_provider_of_the_working_directory_is_served(run, serve, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from backstream import AsyncGeneratorProvider, Content, Finish\n"
        "class Mine(AsyncGeneratorProvider):\n"
        "    @classmethod\n"
        "    async def create_async_generator(cls, model, messages, media=None, api_key=None, **kwargs):\n"
        "        yield Content(content='mine')\n"
        "        yield Finish(finish={'reason': 'stop'})\n"
    )
    assert run("chat", "--url", serve("--provider", "mine:Mine"), "hi").stdout == "mine\n"


def test_limits_and_origins_reach_the_server(serve) -> None:
    url = serve(
        "--max-body-mib", "1", "--max-media-mib", "1", "--max-streams", "1", "--allow-origin", "http://a.example"
    )
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as caught:
        urllib.request.urlopen(urllib.request.Request(url + "/backend-api/v2/conversation", body))
    if isinstance(caught.value, urllib.error.HTTPError):
        assert caught.value.code == 413
        caught.value.close()
    assert get(url + "/backend-api/v2/version", Origin="http://a.example")[0] == 200
    assert get(url + "/backend-api/v2/version", Origin="http://b.example")[0] == 403


def test_allowed_hosts_reach_the_server(serve) -> None:
    url = serve("--allow-host", "box.example")
    assert get(url + "/healthz", Host="box.example")[0] == 200
    assert get(url + "/healthz", Host="other.example")[0] == 403


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_printed_once_and_then_needed(run, serve, tmp_path: Path) -> None:
    added = run("keys", "add", "laptop")
    key = added.stdout.strip()
    assert added.returncode == 0
    assert len(key) > 40
    assert key not in added.stderr
    file = tmp_path / "config" / "backstream" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in file.read_text()
    listed = run("keys", "list").stdout
    assert "laptop" in listed
    assert key not in listed

    url = serve()
    refused = run("chat", "--url", url, "hi")
    assert refused.returncode == 4
    assert "--server-key-env NAME" in refused.stderr
    good = run("chat", "-vv", "--url", url, "--server-key-env", "KEY", "hi", KEY=key)
    assert good.returncode == 0, good.stderr
    assert key not in good.stderr + good.stdout
    assert "Echo" in run("models", "--url", url, "--server-key-env", "KEY", KEY=key).stdout

    assert run("keys", "remove", "laptop").returncode == 0
    assert "there are no keys" in run("keys", "list").stderr


def test_a_key_file_of_ones_own(run, tmp_path: Path) -> None:
    assert run("keys", "add", "a", "--keys-file", "own.json").returncode == 0
    assert "a" in run("keys", "list", "--keys-file", "own.json").stdout
    assert run("keys", "add", "a", "--keys-file", "own.json").returncode == 2
    assert run("keys", "remove", "b", "--keys-file", "own.json").returncode == 2


# --- models, providers ------------------------------------------------------------------------------------------------


def test_models_are_a_table(run, serve) -> None:
    lines = run("models", "--url", serve()).stdout.splitlines()
    assert lines[0].split() == ["PROVIDER", "MODEL"]
    assert ["Echo", "echo"] in [line.split() for line in lines]


def test_models_of_one_provider(run, serve) -> None:
    done = run("models", "Echo", "--url", serve())
    assert ["echo", "default,", "vision"] in [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_models_of_nobody_are_an_error_that_names_who_there_is(run, serve, options) -> None:
    done = run("models", "Nobody", "--url", serve(), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "backstream: there is no provider 'Nobody'; use one of: Echo\n"


def test_a_provider_without_models_is_no_error(run, raw_server) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    many = json.dumps([{"name": f"P{n}", "label": f"Label {n}"} for n in range(30)]).encode()
    for name in ("P3", "Label 3"):
        server = raw_server(answer % (2, b"[]"), answer % (len(many), many))
        done = run("models", name, "--url", server.url)
        assert server.requests[0].split()[1].decode() == "/backend-api/v2/models/" + name.replace(" ", "%20")
        assert done.returncode == 0
        assert done.stderr == f"backstream: {name} lists no models\n"
    done = run("models", "Other", "--url", raw_server(answer % (2, b"[]"), answer % (len(many), many)).url)
    assert done.returncode == 2
    assert done.stderr.endswith("P18, P19 and 10 more (backstream providers lists them)\n")


def test_models_as_json(run, serve) -> None:
    url = serve()
    assert "echo" in json.loads(run("models", "--url", url, "--json").stdout)["Echo"]
    assert json.loads(run("models", "Echo", "--json", BACKSTREAM_URL=url).stdout)[0]["id"] == "echo"


def test_providers(run, serve) -> None:
    url = serve()
    assert "Echo, the embedded backend" in run("providers", "--url", url).stdout
    assert json.loads(run("providers", "--json", BACKSTREAM_URL=url).stdout)[0]["name"] == "Echo"


def test_a_server_that_lists_rubbish_does_no_harm(run, raw_server) -> None:
    for rubbish in (b"[1, null, {}]", b'{"a": 3, "b": [{"id": "x"}, 4]}', b"null", b'"text"'):
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        url = raw_server(answer % (len(rubbish), rubbish)).url
        for command in (("models",), ("models", "Some"), ("providers",)):
            done = run(*command, "--url", url)
            assert done.returncode == 0, done.stderr


# --- completion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run, shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_BACKSTREAM_COMPLETE" in done.stdout


def test_completion_completes(run) -> None:
    done = run(_BACKSTREAM_COMPLETE="bash_complete", COMP_WORDS="backstream ch", COMP_CWORD="1")
    assert "plain,chat" in done.stdout
