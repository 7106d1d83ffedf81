"""Which proxy a request goes through: argument, then environment, never for this machine itself."""

from __future__ import annotations

import os
from collections.abc import Mapping

from backstream.errors import ConfigurationError
from backstream.transport.url import URL, is_loopback
from backstream.wire.proxy import ProxyAddress, parse_proxy_url

__all__ = ["choose_proxy"]


def choose_proxy(url: URL, proxy: str | None = None, proxies: Mapping[str, str] | None = None) -> ProxyAddress | None:
    """Choose the proxy for a request.

    Args:
        url: Where the request goes.
        proxy: A proxy's URL; ``""`` for none, whatever the environment says; ``None`` leaves it to the others.
        proxies: Proxy URLs by scheme (``http``, ``https``) or ``all``.

    Returns:
        The proxy, or ``None`` to connect directly: so always for loopback addresses.

    Raises:
        ConfigurationError: A proxy URL that is none; its text does not show it.
    """
    if proxy is None and proxies:
        proxy = proxies.get(url.scheme, proxies.get("all"))
    given = _parse(proxy)  # a mistake in it is told also where it would not be used
    if is_loopback(url.host):
        return None
    return given if proxy is not None else _parse(_from_environment(url))


def _parse(proxy: object) -> ProxyAddress | None:
    if not proxy:
        return None
    if not isinstance(proxy, str):
        raise ConfigurationError(f"proxy is a {type(proxy).__name__}", "pass a URL as str")
    return parse_proxy_url(proxy)


def _from_environment(url: URL) -> str | None:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib import request

    proxies = request.getproxies_environment()
    if request.proxy_bypass_environment(f"{url.host}:{url.port}", proxies):  # type: ignore[attr-defined]
        return None
    return proxies.get(url.scheme, proxies.get("all"))
