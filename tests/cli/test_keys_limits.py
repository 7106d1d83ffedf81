"""``backstream keys``: what a key may use, as options, and as the list shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def stored(tmp_path: Path) -> dict[str, object]:
    """What the key file says of each key's limits."""
    file = tmp_path / "config" / "backstream" / "keys.json"
    return {key["name"]: key.get("limits", {}) for key in json.loads(file.read_text())["keys"]}


def test_limits_of_a_new_key(run, tmp_path: Path) -> None:
    options = ["--models", "openai/*, echo", "--models", "ollama/*", "--requests-per-minute", "60"]
    options += ["--concurrent-streams", "4", "--tokens-per-day", "1000000"]
    added = run("keys", "add", "laptop", *options)
    assert added.returncode == 0
    assert added.stdout.startswith("bsk_")
    assert stored(tmp_path) == {
        "laptop": {
            "models": ["openai/*", "echo", "ollama/*"],
            "requests_per_minute": 60,
            "concurrent_streams": 4,
            "tokens_per_day": 1000000,
        }
    }
    run("keys", "add", "free")
    listed = run("keys", "list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "KEY", "MADE", "LIMITS"]
    limits = "60 requests/minute, 4 streams, 1000000 tokens/day, models openai/* echo ollama/*"
    assert listed[1].endswith(limits)
    assert listed[2].startswith("free ")
    assert "requests" not in listed[2]


def test_changing_limits(run, tmp_path: Path) -> None:
    run("keys", "add", "laptop", "--requests-per-minute", "60", "--models", "echo")
    other = run("keys", "add", "other", "--tokens-per-day", "5")
    changed = run("keys", "limit", "laptop", "--tokens-per-day", "100", "--requests-per-minute", "none")
    assert (changed.returncode, changed.stdout) == (0, "")
    assert changed.stderr == "laptop: 100 tokens/day, models echo\n"
    assert stored(tmp_path) == {"laptop": {"models": ["echo"], "tokens_per_day": 100}, "other": {"tokens_per_day": 5}}
    lifted = run("keys", "limit", "laptop", "--models", "none", "--tokens-per-day", "none")
    assert lifted.stderr == "laptop: no limits of its own\n"
    assert other.stdout[4:] not in (tmp_path / "config" / "backstream" / "keys.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["laptop"], "name a limit"),
        (["laptop", "--requests-per-minute", "0"], "no whole number from 1 on"),
        (["laptop", "--tokens-per-day", "many"], "no whole number from 1 on"),
        (["nobody", "--tokens-per-day", "5"], "no key of that name"),
        (["laptop", "--models", ""], "name a limit"),
    ],
)
def test_what_is_no_change(run, tmp_path: Path, arguments: list[str], said: str) -> None:
    run("keys", "add", "laptop", "--tokens-per-day", "7")
    refused = run("keys", "limit", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert stored(tmp_path) == {"laptop": {"tokens_per_day": 7}}


def test_a_file_kept_by_hand_is_not_written(run, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[[keys]]\nname = "a"\nsha256 = "{"0" * 64}"\n[keys.limits]\nrequests_per_minute = 5\n')
    file.chmod(0o600)
    assert "5 requests/minute" in run("keys", "list", "--keys-file", str(file)).stdout
    assert "by hand" in run("keys", "limit", "a", "--tokens-per-day", "5", "--keys-file", str(file)).stderr


def test_limits_that_are_none_spoil_the_file(run, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[[keys]]\nname = "a"\nsha256 = "{"0" * 64}"\n[keys.limits]\nrequests_per_minute = 0\n')
    file.chmod(0o600)
    listed = run("keys", "list", "--keys-file", str(file))
    assert listed.returncode == 2
    assert "no key file" in listed.stderr
