"""Which proxy a request takes: the argument, then the environment, and never one to this machine itself."""

from __future__ import annotations

import pytest

from backstream.errors import ConfigurationError
from backstream.transport.proxy import choose_proxy
from backstream.transport.url import parse_url

FAR = parse_url("http://far.example/x")
NEAR = parse_url("http://127.0.0.1:8080/x")


@pytest.fixture(autouse=True)
def _no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://environment:1")
    chosen = [choose_proxy(FAR, "http://argument:1"), choose_proxy(FAR), choose_proxy(FAR, "")]
    assert [address and address.host for address in chosen] == ["argument", "environment", None]
    by_scheme = choose_proxy(FAR, proxies={"http": "http://scheme:1", "all": "http://all:1"})
    assert by_scheme is not None
    assert by_scheme.host == "scheme"


def test_this_machine_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://environment:1")
    assert choose_proxy(NEAR) is None
    assert choose_proxy(NEAR, "http://argument:1") is None


def test_the_environment_may_name_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "http://environment:1")
    monkeypatch.setenv("no_proxy", "far.example")
    assert choose_proxy(FAR) is None


@pytest.mark.parametrize("url", [FAR, NEAR], ids=["far", "this machine"])
@pytest.mark.parametrize("wrong", ["nonsense://h:1", "ftp://user:password@h:1", 7])
def test_a_mistake_is_told_also_where_no_proxy_would_be_used(url: object, wrong: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_proxy(url, wrong)  # type: ignore[arg-type]
    assert "password" not in str(caught.value)
