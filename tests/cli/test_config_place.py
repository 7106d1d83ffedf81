"""Where ``serve`` listens: what the command line says, over what is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.cli.serving import Kept, first_of, place_of, served
from backstream.errors import ConfigurationError
from backstream.registry.config import Config, load_config
from backstream.registry.server_config import ServerConfig
from backstream.server.place import Place
from backstream.server.reload import Loaded
from backstream.server.tls import TLSFiles

CERT, KEY, SOCKET = Path("c.pem"), Path("k.pem"), Path("s.sock")
TLS = TLSFiles(certificate=CERT, key=KEY)


@pytest.mark.parametrize(
    ("configured", "given", "place"),
    [
        ({}, {}, Place()),
        ({}, {"host": None, "port": 0}, Place(port=0)),
        ({"host": "::1", "port": 1}, {"port": 2}, Place(host="::1", port=2)),
        ({"tls_cert": CERT, "tls_key": KEY}, {}, Place(tls=TLS)),
        ({"tls_cert": Path("o"), "tls_key": Path("o")}, {"tls_cert": CERT, "tls_key": KEY}, Place(tls=TLS)),
        ({"socket": SOCKET}, {}, Place(socket_path=SOCKET)),
        ({"socket": SOCKET}, {"port": 3}, Place(port=3)),
        ({"host": "::1", "tls_cert": CERT, "tls_key": KEY}, {"socket": SOCKET}, Place(socket_path=SOCKET)),
    ],
)
def test_the_command_line_wins(configured: Any, given: Any, place: Place) -> None:
    assert place_of(ServerConfig(**configured), **given) == place


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"socket": SOCKET, "port": 1}, "both to be listened on; choose one"),
        ({"tls_cert": CERT}, "belong together; give --tls-cert and --tls-key"),
        ({"tls_key": KEY}, "belong together"),
    ],
)
def test_what_does_not_go_together(given: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        place_of(ServerConfig(), **given)


def test_a_worker_gets_the_last_configuration_that_was_right(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"

    def load() -> Loaded:
        return served(load_config(path, environ={}) if path.exists() else Config(), with_registry=False)

    def streams() -> int:
        return kept.of_worker(3, tmp_path / "state").settings.max_streams

    path.write_text("[server.limits]\nmax_streams = 1\n")
    kept = Kept(load, load())
    assert kept.of_worker(3, tmp_path / "state").settings.worker == 3
    path.write_text("[server.limits]\nmax_streams = 2\n")
    assert streams() == 1
    kept.refresh()
    assert streams() == 2
    for text in ("[server.limits]\nmax_streams = 0\n", None):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        kept.refresh()
        assert streams() == 2


def test_zero_is_given_too() -> None:
    assert first_of(0, 1, 2) == 0
    assert first_of(None, 0, 2) == 0
    assert first_of(None, None, 2) == 2
