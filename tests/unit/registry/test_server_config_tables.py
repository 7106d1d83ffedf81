"""The tables of the gateway in ``backstream.toml``: ``[server]``, ``[keys]``, ``[routes]``."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.registry.config import Config, load_config
from backstream.registry.names import Target
from backstream.registry.registry import Registry
from backstream.registry.routes import models_of, route_named
from backstream.registry.server_config import KeyConfig, KeyLimits, LimitsConfig, RouteList, ServerConfig

DIGEST = "0123456789abcdef" * 4


def load(folder: Path, text: str) -> Config:
    path = folder / "backstream.toml"
    path.write_text(text)
    return load_config(path, environ={})


def test_everything_that_can_be_said_of_the_server(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [server]
        host = "0.0.0.0"
        port = 9000
        tls_cert = "cert.pem"
        tls_key = "/etc/key.pem"
        root_path = "/llm"
        trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
        workers = 4
        keys_file = "keys.json"
        state_file = "state.sqlite"
        framing = "sse"
        allow_origins = ["https://example.org"]
        allowed_hosts = ["llm.example.org"]
        grace_seconds = 0
        keepalive_seconds = 20
        gate_seconds = 2.5
        body_idle_seconds = 10
        log = "json"

        [server.limits]
        max_streams = 100
        max_streams_per_key = 10
        max_body_mib = 1
        max_media_mib = 2
        requests_per_minute = 60
        tokens_per_day = 1_000_000
        concurrent_streams = 4
        models = ["openai/*"]
        """,
    ).server
    assert found == ServerConfig(
        host="0.0.0.0",
        port=9000,
        tls_cert=tmp_path / "cert.pem",
        tls_key=Path("/etc/key.pem"),
        root_path="/llm",
        trusted_proxies=("10.0.0.0/8", "::1", "unix"),
        workers=4,
        keys_file=tmp_path / "keys.json",
        state_file=tmp_path / "state.sqlite",
        framing="sse",
        allow_origins=("https://example.org",),
        allowed_hosts=("llm.example.org",),
        grace_seconds=0,
        keepalive_seconds=20,
        gate_seconds=2.5,
        body_idle_seconds=10,
        log="json",
        limits=LimitsConfig(
            max_streams=100,
            max_streams_per_key=10,
            max_body_mib=1,
            max_media_mib=2,
            requests_per_minute=60,
            tokens_per_day=1_000_000,
            concurrent_streams=4,
            models=("openai/*",),
        ),
    )
    assert found.limits.of_keys == KeyLimits(
        models=("openai/*",), requests_per_minute=60, concurrent_streams=4, tokens_per_day=1_000_000
    )


def test_a_unix_socket_lies_beside_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "[server]\nsocket = 'gateway.sock'").server.socket == tmp_path / "gateway.sock"


def test_client_keys_have_limits_and_may_stand_here(tmp_path: Path) -> None:
    found = load(tmp_path, f'[keys.laptop]\nmodels = ["echo"]\nrequests_per_minute = 5\nsha256 = "{DIGEST}"').keys
    assert found == {"laptop": KeyConfig(models=("echo",), requests_per_minute=5, sha256=DIGEST)}
    assert found["laptop"].limits == KeyLimits(models=("echo",), requests_per_minute=5)


def test_a_routing_list_is_a_list_or_a_table(tmp_path: Path) -> None:
    found = load(tmp_path, '[routes]\n"gpt-5" = ["openai/gpt-5", "azure/gpt-5"]\n[routes.smart]\nto = ["gpt-5"]').routes
    assert found == {"gpt-5": RouteList(to=("openai/gpt-5", "azure/gpt-5")), "smart": RouteList(to=("gpt-5",))}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[server]\nprot = 1", 2, "server.prot is unknown; did you mean port"),
        ("[server]\nport = 70000", 2, "server.port is wrong: expected a whole number <= 65535"),
        ("[server]\nhost = ''", 2, "server.host is wrong"),
        ("[server]\ngate_seconds = 0", 2, "server.gate_seconds is wrong: expected a number > 0.0"),
        ("[server]\ngate_seconds = nan", 2, "server.gate_seconds is wrong"),
        ("[server]\nframing = 'hidden'", 2, "server.framing has an unknown value; use one of: auto, sse, jsonl"),
        ("[server]\nlog = 'hidden'", 2, "server.log has an unknown value; use one of: text, json, off"),
        ("[server]\n\ntls_cert = 'hidden'", 3, "server.tls_cert needs tls_key beside it"),
        ("[server]\ntls_key = 'hidden'", 2, "server.tls_key needs tls_cert beside it"),
        ("[server]\ntrusted_proxies = ['::1', 'hidden']", 2, "server.trusted_proxies holds no address; use addresses"),
        ("[server]\nport = 1\nsocket = 'hidden'", 3, "server.socket and port are both given; listen on one of them"),
        ("[server]\nlimits = 3", 2, "server.limits is no table"),
        ("[server.limits]\nmax_stream = 3", 2, "server.limits.max_stream is unknown; did you mean max_streams"),
        ("[server.limits]\nmax_streams = 0", 2, "server.limits.max_streams is wrong: expected a whole number >= 1"),
        ("[keys.laptop]\nrequests_per_minutes = 3", 2, "keys.laptop.requests_per_minutes is unknown; did you mean"),
        ("[keys.laptop]\nsha256 = 'hidden'", 2, "keys.laptop.sha256 is wrong"),
        ("[keys.laptop]\nmodels = 'hidden'", 2, "keys.laptop.models is wrong"),
        ("[keys.'a b']\n", 1, 'keys."a b" is no name for a client key'),
        ("[routes]\na = 'hidden'", 2, "routes.a is wrong"),
        ("[routes]\na = []", 2, "routes.a names no model"),
        ("[routes]\na = { to = ['x/y'], too = 1 }", 2, "routes.a.too is unknown"),
        ("[routes]\na = { to = [] }", 2, "routes.a.to names no model"),
        ("[routes]\na = ['https://hidden/x']", 2, "routes.a holds a URL"),
        ("[routes]\n'a b' = ['x/y']", 2, 'routes."a b" is no name for a model'),
        ("[aliases]\nb = 'x/y'\n[routes]\na = ['x/y']\nb = ['x/y']", 5, "routes.b is the name of an alias too"),
        ("[routes]\na = ['x/y', 'a']", 2, "routes.a leads in a circle: a → a"),
        ("[aliases]\nb = 'a'\n[routes]\na = ['b']", 2, "aliases.b leads in a circle: b → a → b"),
        ("[routes]\na = ['b']\nb = ['x/y', 'c']\nc = ['a']", 2, "routes.a leads in a circle: a → b → c → a"),
    ],
)
def test_an_error_names_file_line_and_key_and_no_value(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'backstream.toml'}:{line}: {said}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[server]\nhost = '0.0.0.0'", "server.host"),
        ("[server]\nsocket = 's'", "server.socket"),
        ("[server]\ntls_cert = 'c'", "server.tls_cert"),
        ("[server]\nkeys_file = 'k'", "server.keys_file"),
        ("[server]\nstate_file = 'k'", "server.state_file"),
        ("[server]\nallow_origins = []", "server.allow_origins"),
        ("[server]\nallowed_hosts = []", "server.allowed_hosts"),
        ("[server]\ntrusted_proxies = []", "server.trusted_proxies"),
        (f"[keys.a]\nsha256 = '{DIGEST}'", "keys.a.sha256"),
    ],
)
def test_a_file_that_nobody_chose_opens_nothing(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "backstream.toml").write_text(text)
    environ = {"HOME": str(tmp_path / "home")}
    with pytest.raises(ConfigurationError, match=rf":2: {key} in a file .* working folder .*BACKSTREAM_CONFIG="):
        load_config(environ=environ, folder=tmp_path)
    load_config(tmp_path / "backstream.toml" if "tls" not in text else None, environ=environ, folder=tmp_path.parent)


def test_a_file_that_nobody_chose_may_still_say_the_rest(tmp_path: Path) -> None:
    (tmp_path / "backstream.toml").write_text("[server]\nport = 1\n[server.limits]\nmax_streams = 2\n[keys.a]\n")
    found = load_config(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path)
    assert (found.server.port, found.server.limits.max_streams) == (1, 2)


def test_all_that_is_wrong_can_be_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "backstream.toml"
    path.write_text("""
zzz = 1
[providers.a]
urll = "x"
[providers.b]
url = "http://127.0.0.1:1"
[server]
port = -1
[keys.c]
models = 1
[routes]
d = []
[aliases]
e = "e"
[defaults]
receipts = "no"
""")
    problems: list[ConfigurationError] = []
    found = load_config(path, environ={}, problems=problems)
    assert ["".join(str(each).removeprefix(f"{path}:").split(" ")[:2]) for each in problems] == [
        "2:zzz",
        "16:defaults.receipts",
        "8:server.port",
        "12:routes.d",
        "14:aliases.e",
        "4:providers.a.urll",
        "10:keys.c.models",
    ]
    assert list(found.providers) == ["b"]


def test_routing_lists_open_into_models() -> None:
    aliases = {"fast": "x/small", "best": "smart"}
    routes = {"smart": RouteList(to=("x/big", "fast", "more")), "more": RouteList(to=("x/small", "y/big"))}
    assert models_of("smart", aliases, routes) == ["x/big", "x/small", "y/big"]
    assert route_named("best", aliases, routes) == "smart"
    assert route_named("fast", aliases, routes) is None
    assert route_named("x/big", aliases, routes) is None


async def test_the_library_takes_the_first_model_of_a_routing_list(tmp_path: Path) -> None:
    registry = Registry(load(tmp_path, '[routes]\nsmart = ["openai/gpt-5", "echo"]'), environ={})
    assert await registry.resolve("smart") == Target("openai", "gpt-5")
