"""The tables of the gateway, ``[server]``, ``[keys]`` and ``[routes]``, made values. Opens nothing but the document."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.registry.document import Document
from backstream.registry.recovery_config import ClocksConfig
from backstream.registry.server_config import KeyConfig, LimitsConfig, RouteList, ServerConfig

__all__ = ["read_key", "read_route", "read_server"]

_KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ROUTE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_FILES: Final = ("socket", "tls_cert", "tls_key", "keys_file", "state_file", "record")
_OPENING: Final = ("host", "allow_origins", "allowed_hosts", "trusted_proxies", *_FILES)
_REMEDY: Final = "set BACKSTREAM_CONFIG=backstream.toml if you trust it"


def read_server(document: Document, table: Mapping[str, Any], *, trusted: bool) -> ServerConfig:
    """Read ``[server]``, ``[server.limits]`` and ``[server.deadlines]``.

    Args:
        document: Where it stands.
        table: What it holds.
        trusted: Whether the user chose the file; another may not say who reaches the server, nor name files.

    Raises:
        ConfigurationError: A key is unknown or wrong, or not for a file that nobody chose.
    """
    for name in _OPENING if not trusted else ():
        if name in table:
            could = "name any file of yours" if name in _FILES else "open the server to others"
            problem = f"in a file that just lies in the working folder could {could}"
            raise document.error(["server", name], problem, _REMEDY)
    limits = document.convert(["server", "limits"], table.get("limits", {}), LimitsConfig)
    deadlines = document.convert(["server", "deadlines"], table.get("deadlines", {}), ClocksConfig)
    found = document.convert(["server"], {**table, "limits": {}, "deadlines": {}}, ServerConfig)
    for alone, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(found, alone) is not None and getattr(found, other) is None:
            raise document.error(["server", alone], f"needs {other} beside it", "give both, as PEM files")
    for name in ("host", "port"):
        if found.socket is not None and getattr(found, name) is not None:
            raise document.error(["server", "socket"], f"and {name} are both given", "listen on one of them")
    for proxy in found.trusted_proxies or ():
        if not _is_network(proxy):
            remedy = "use addresses like 10.0.0.2, networks like 10.0.0.0/8, or unix"
            raise document.error(["server", "trusted_proxies"], "holds no address", remedy)
    files = {name: document.place(["server", name], getattr(found, name)) for name in _FILES}
    return msgspec.structs.replace(found, limits=limits, deadlines=deadlines, **files)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text == "unix"
    return True


def read_key(document: Document, name: str, value: object, *, trusted: bool) -> KeyConfig:
    """Read one ``[keys.NAME]``.

    Args:
        document: Where it stands.
        name: The key's name.
        value: What it holds.
        trusted: Whether the user chose the file; another may not let anybody in.

    Raises:
        ConfigurationError: The name is none, or a limit is unknown or wrong.
    """
    keys = ["keys", name]
    if not _KEY_NAME.fullmatch(name):
        raise document.error(keys, "is no name for a client key", "use at most 64 letters, digits, dots and dashes")
    found = document.convert(keys, value, KeyConfig)
    if found.sha256 is not None and not trusted:
        problem = "in a file that just lies in the working folder could let anybody in"
        raise document.error([*keys, "sha256"], problem, _REMEDY)
    return found


def read_route(document: Document, name: str, value: object) -> RouteList:
    """Read one entry of ``[routes]``: a list of models, or a table with the list as ``to``.

    Raises:
        ConfigurationError: The name is none, or it names no models.
    """
    keys = ["routes", name]
    if not _ROUTE_NAME.fullmatch(name):
        raise document.error(keys, "is no name for a model", "use letters, digits, and any of . _ : / @ + -")
    if isinstance(value, dict):
        deadlines = document.convert([*keys, "deadlines"], value.get("deadlines", {}), ClocksConfig)
        found = document.convert(keys, {**value, "deadlines": {}}, RouteList)
        keys, found = [*keys, "to"], msgspec.structs.replace(found, deadlines=deadlines)
    else:
        found = RouteList(to=document.typed(keys, value, tuple[str, ...]))
    if not found.to or not all(found.to):
        raise document.error(
            keys, "names no model", 'write a list such as ["openai/gpt-5", "anthropic/claude-opus-4-5"]'
        )
    if any("://" in model for model in found.to):
        raise document.error(keys, "holds a URL", "name the server in [providers], and write NAME/model here")
    return found
