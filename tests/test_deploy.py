"""The files of ``deploy/`` say what the program understands, and keep what they promise."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backstream.cli.serve import command
from backstream.server import create_app
from backstream.server.listener import Listener
from backstream.server.run import GRACE_SECONDS

DEPLOY = Path(__file__).parent.parent / "deploy"


def known(arguments: list[str]) -> None:
    """Parse the arguments of ``serve`` without serving."""
    command.make_context("serve", list(arguments))


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line]


def unit() -> dict[str, list[str]]:
    parser = configparser.RawConfigParser(strict=False, dict_type=_Repeated, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "backstream.service")
    return {name: value.splitlines() for name, value in parser["Service"].items()}


class _Repeated(dict[str, Any]):
    """Keeps every value of a key that is repeated."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            value = [*self[key], *value]
        super().__setitem__(key, value)


def test_the_unit_starts_what_there_is() -> None:
    program, verb, *arguments = unit()["ExecStart"][0].split()
    assert (program, verb) == ("/opt/backstream/bin/backstream", "serve")
    known(arguments)


def test_the_unit_leaves_time_to_end() -> None:
    assert int(unit()["TimeoutStopSec"][0]) >= GRACE_SECONDS + 10
    assert unit()["KillSignal"] == ["SIGTERM"]
    assert unit()["Type"] == ["notify"]
    assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_unit_gives_privileges_up() -> None:
    service = unit()
    for name in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert service[name] == ["yes"], name
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] in ([], [""])
    assert service["StateDirectory"] == ["backstream"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "backstream.service").read_text().replace("/opt/backstream/bin/backstream", "/bin/true")
    path = tmp_path / "backstream.service"
    path.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_container_serves_as_somebody_without_rights() -> None:
    found = instructions()
    assert [value for name, value in found if name == "USER"] == ["backstream"]
    entry = json.loads(next(value for name, value in found if name == "ENTRYPOINT"))
    verb, *arguments = json.loads(next(value for name, value in found if name == "CMD"))
    assert [*entry, verb] == ["backstream", "serve"]
    known(arguments)
    assert ("STOPSIGNAL", "SIGTERM") in found


def test_the_container_asks_for_its_health() -> None:
    value = next(value for name, value in instructions() if name == "HEALTHCHECK")
    check = json.loads(value[value.index("[") :])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    assert "http://127.0.0.1:8080/readyz" in check[2]


def test_no_file_holds_a_secret() -> None:
    for path in DEPLOY.iterdir():
        assert not re.search(r"bsk_\w|sk-\w{8}|BEGIN .*PRIVATE", path.read_text()), path


def test_the_proxy_writes_what_the_gateway_believes_and_buffers_nothing() -> None:
    text = re.sub(r"#.*", "", (DEPLOY / "nginx.conf").read_text())
    assert text.count("{") == text.count("}")
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_http_version 1.1;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        'proxy_set_header Forwarded "";',
        'proxy_set_header X-Forwarded-Host "";',
    } <= lines
    assert "$proxy_add_x_forwarded_for" not in text


def test_the_proxy_closes_idle_connections_before_the_gateway_does() -> None:
    found = re.search(r"^\s*keepalive_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) < Listener(create_app())._config.timeout_keep_alive
