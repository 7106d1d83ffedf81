"""Where ``serve`` listens: what the command line says, over what is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.cli.serving import first_of, place_of
from backstream.errors import ConfigurationError
from backstream.registry.server_config import ServerConfig
from backstream.server.place import Place
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


def test_zero_is_given_too() -> None:
    assert first_of(0, 1, 2) == 0
    assert first_of(None, 0, 2) == 0
    assert first_of(None, None, 2) == 2
