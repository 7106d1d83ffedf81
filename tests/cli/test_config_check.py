"""``backstream config``: what is wrong with ``backstream.toml``, and what would be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

Run = Any

GOOD = """
[server]
port = 9000
keys_file = "keys.json"
[server.limits]
max_streams = 20
requests_per_minute = 60
[keys.laptop]
models = ["echo", "openai/*"]
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[keys.plain]
[aliases]
fast = "openai/gpt-5-mini"
[routes]
smart = ["openai/gpt-5", "fast", "work"]
[providers.work]
url = "https://llm.example.org/v1"
key_variable = "WORK_KEY"
"""


def test_what_would_be_served(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(GOOD)
    done = run("config", "check", "my.toml", OPENAI_API_KEY="sk-secret")
    assert done.returncode == 0, done.stderr
    told = dict(line.split("  ", 1) for line in done.stdout.splitlines()[1:])
    assert {name: value.strip() for name, value in told.items()} == {
        "file": "my.toml",
        "listens on": "http://127.0.0.1:9000",
        "client keys": "1 here",
        "with a key": "openai, openai-responses",
        "without a key": "work",
        "alias fast": "openai/gpt-5-mini",
        "route smart": "openai/gpt-5, fast, work",
        "limits": "20 streams, 64 for one key",
        "every key": "requests_per_minute 60",
        "key laptop": "models echo openai/*",
        "key plain": "no limits of its own",
    }
    assert "sk-secret" not in done.stdout + done.stderr


def test_without_a_file_the_defaults_hold(run: Run, tmp_path: Path) -> None:
    run("keys", "add", "laptop")
    done = run("config", "check")
    assert done.returncode == 0, done.stderr
    assert "none: the defaults hold" in done.stdout
    assert f"1 in {tmp_path}/config/backstream/keys.json" in done.stdout


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "[server]\nprot = 1\n[keys.a]\nmodels = 1\n",
            ["my.toml:2: server.prot is unknown; did you mean", "my.toml:4: keys.a.models is wrong"],
        ),
        ("[server\n", ["my.toml:1: "]),
        ("[server]\nallow_origins = ['*']\n", ["my.toml:2: server.allow_origins is wrong; use scheme://host"]),
        ("[server.limits]\n[routes]\na = ['opanai/x']\n", ["my.toml:3: routes.a names a provider that is unknown"]),
        ("[server]\nhost = '0.0.0.0'\n", ["my.toml:2: server.host is wrong: listening on 0.0.0.0 without client keys"]),
        (
            "[server]\ntls_cert = 'none.pem'\ntls_key = 'none.pem'\n",
            ["my.toml:2: server.tls_cert is wrong: cannot read none.pem"],
        ),
        ("[providers.a]\nextends = 'b'\n", ["my.toml:2: providers.a.extends names no known provider"]),
        ("[server]\nkeys_file = 'keys.json'\n", ["keys.json is no key file"]),
        (
            "[providers.openai]\nkey_file = 'none.key'\n",
            ["my.toml:2: providers.openai.key_file is wrong: the key file none.key cannot be read"],
        ),
    ],
)
def test_a_line_for_each_thing_that_is_wrong(run: Run, tmp_path: Path, text: str, lines: list[str]) -> None:
    (tmp_path / "my.toml").write_text(text)
    (tmp_path / "keys.json").write_text("no JSON")
    (tmp_path / "keys.json").chmod(0o600)
    done = run("config", "check", "my.toml")
    assert done.returncode == 2
    said = done.stdout.splitlines()
    assert len(said) == len(lines), done.stdout
    assert all(line.startswith(expected) for line, expected in zip(said, lines, strict=True)), done.stdout


def test_limits_without_a_key_are_warned_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[server]\nkeys_file = 'k.json'\n[keys.intern]\nrequests_per_minute = 1\n")
    said = "my.toml:3: keys.intern limits nobody: no key has that name; make one: "
    command = "keys add intern --keys-file k.json"
    before = run("config", "check", "my.toml")
    assert run(*command.split()).returncode == 0
    after = run("config", "check", "my.toml")
    assert (before.returncode, before.stderr) == (0, f"warning: {said}backstream {command}\n")
    assert (after.returncode, after.stderr) == (0, "")


def test_a_hint_names_the_file_of_keys_that_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[server]\nport = 0\n[keys.intern]\nrequests_per_minute = 1\n")
    done = run("serve", "--config", "my.toml", "--host", "0.0.0.0", "--keys-file", "my keys.json")
    assert done.returncode == 2
    assert "keys.intern limits nobody" in done.stderr
    assert "backstream keys add NAME --keys-file 'my keys.json'; or listen on" in done.stderr
    assert "backstream keys list --keys-file k.json" in run("keys", "remove", "a", "--keys-file", "k.json").stderr
    assert run("keys", "remove", "a").stderr.strip().endswith("backstream keys list")


def test_a_file_that_is_not_there(run: Run) -> None:
    done = run("config", "check", "none.toml")
    assert done.returncode == 2
    assert done.stdout == "none.toml cannot be read: No such file or directory\n"


def test_which_file_is_read(run: Run, tmp_path: Path) -> None:
    none = run("config", "path")
    (tmp_path / "my.toml").write_text("")
    named = run("config", "path", BACKSTREAM_CONFIG="my.toml")
    assert (none.returncode, none.stdout) == (2, "")
    assert "no configuration file" in none.stderr
    assert (named.returncode, named.stdout) == (0, "my.toml\n")


@pytest.mark.parametrize("options", [{}, {"BACKSTREAM_CONFIG": "backstream.toml"}])
def test_serve_refuses_what_check_refuses(run: Run, tmp_path: Path, options: Any) -> None:
    (tmp_path / "backstream.toml").write_text("[server]\nhost = '0.0.0.0'\n")
    done = run("serve", "--port", "0", **options)
    assert done.returncode == 2
    assert done.stdout == ""
    refused = (
        "without client keys" if options else f"{tmp_path}/backstream.toml:2: server.host in a file that just lies"
    )
    assert refused in done.stderr


def test_the_words_are_those_of_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[server]\ntrusted_proxies = 1\n[keys.a]\nmodels = true\n")
    said = run("config", "check", "my.toml").stdout
    assert "server.trusted_proxies is wrong: expected a list, got a whole number\n" in said
    assert "keys.a.models is wrong: expected a list, got true or false\n" in said


def test_the_reason_why_a_file_that_just_lies_there_may_not_name_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "backstream.toml").write_text("[server]\nstate_file = 'x'\n")
    assert (
        "state_file in a file that just lies in the working folder could name any file of yours"
        in run("serve", "--port", "0").stderr
    )


def test_every_address_has_a_base_url_that_works(run: Run, start: Any) -> None:
    run("keys", "add", "laptop")
    process = start("serve", "--host", "0.0.0.0", "--port", "0")
    lines = [process.stderr.readline().decode() for _ in range(4)]
    port = lines[0].strip().rpartition(":")[2]
    assert lines[0] == f"listening on http://0.0.0.0:{port}\n"
    assert lines[1] == f"base URL for OpenAI: http://127.0.0.1:{port}/v1\n"
    assert lines[2].endswith(f": http://127.0.0.1:{port}\n")
    assert "other machines" in lines[3]
