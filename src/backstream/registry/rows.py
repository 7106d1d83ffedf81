"""The table of providers with the configuration over it. Pure; finds no key and asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.dialects.names import DIALECTS, dialect_for
from backstream.errors import ConfigurationError, UnknownProviderError
from backstream.providers.table import Row, url_of
from backstream.registry.config import Config, ProviderConfig, without_url
from backstream.transport.session import check_url
from backstream.transport.url import parse_url

__all__ = ["configured_rows", "may_use_keyring", "row_at"]

_CHANGED: Final = ("url", "label", "dialect", "auth", "default_model")


def row_at(url: str, *, name: str = "", dialect: str = "openai_chat") -> Row:
    """Return the row of a server nothing is known of but its address, and how it is spoken to.

    Args:
        url: Its base URL; for a server of OpenAI's kind what stands before ``/chat/completions``.
        name: What to call it; ``""`` for its host and port.
        dialect: How it is spoken to.

    Raises:
        ConfigurationError: The URL cannot work, or there is no such dialect.
    """
    url = check_url(url)
    if dialect not in DIALECTS:
        raise ConfigurationError(f"there is no dialect {dialect[:40]!r}", f"use one of: {', '.join(DIALECTS)}")
    routes: dict[str, Any] = {}
    if dialect == "openai_chat":  # one that lacks such a route says so itself
        routes = {
            "embeddings_path": "/embeddings",
            "images_path": "/images/generations",
            "speech_path": "/audio/speech",
            "transcriptions_path": "/audio/transcriptions",
        }
    authority = parse_url(url).authority
    # Source: each dialect's own route, as the vendors document it
    paths = {"ollama": "/api/tags", "backend_api": "/backend-api/v2/models"}
    return Row(
        name=name or authority,
        label=name or authority,
        url=url,
        dialect=dialect,
        key_needed=False,
        models_path=paths.get(dialect, "/models"),
        documentation=url,
        **routes,
    )


def configured_rows(table: Mapping[str, Row], config: Config, environ: Mapping[str, str]) -> Mapping[str, Row]:
    """Return every row there is: those of the table with what the environment and the configuration say, and new ones.

    A row whose URL is moved to another origin loses its key variables: which key goes there must be said anew.

    Raises:
        ConfigurationError: A new provider has neither ``url`` nor ``extends``, or extends an unknown one; or its
            dialect does not know one of the quirks.
    """
    table = {name: _placed(row, environ) for name, row in table.items()}
    rows = dict(table)
    for name, settings in config.providers.items():
        if settings.plugin:
            rows.pop(name, None)
        else:
            rows[name] = _changed(_base(name, settings, table, config), settings, trusted=config.trusted)
            _check_quirks(rows[name].dialect, name, settings, config)
    return rows


def _check_quirks(dialect: str, name: str, settings: ProviderConfig, config: Config) -> None:
    for quirk, value in settings.quirks.items():
        try:
            dialect_for(dialect, {quirk: value})
        except ConfigurationError as error:
            raise config.error(["providers", name, "quirks", quirk], "is unknown", error.remedy) from None


def may_use_keyring(name: str, config: Config) -> bool:
    """Tell whether the key that the keyring holds under a name may go where the configuration says."""
    settings = config.providers.get(name)
    return config.trusted or settings is None or (settings.url is None and settings.extends is None)


def _placed(row: Row, environ: Mapping[str, str]) -> Row:
    """Put a row where its variable says; a row that nothing places stays as it is."""
    variable = row.url_variable
    if variable is None or not environ.get(variable, "").strip():
        return row
    try:
        return msgspec.structs.replace(row, url=check_url(url_of(row, environ)))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the environment variable {variable} is wrong: {without_url(error)}", error.remedy
        ) from None


def _base(name: str, settings: ProviderConfig, table: Mapping[str, Row], config: Config) -> Row:
    if settings.extends is not None:
        if settings.extends not in table:
            nearest = UnknownProviderError(settings.extends, table).remedy
            raise config.error(["providers", name, "extends"], "names no known provider", nearest)
        return msgspec.structs.replace(table[settings.extends], name=name, label=name, local_ports=())
    if name in table:
        return table[name]
    if settings.url is None:
        raise config.error(["providers", name], "has no url", "give its url, or extends of a known provider")
    return row_at(settings.url, name=name, dialect=settings.dialect or "openai_chat")


def _changed(base: Row, settings: ProviderConfig, *, trusted: bool) -> Row:
    changes: dict[str, Any] = {key: value for key in _CHANGED if (value := getattr(settings, key)) is not None}
    if settings.models_path is not None:
        changes["models_path"] = settings.models_path or None
    if settings.models:
        changes["models"] = settings.models
    if settings.headers or settings.quirks:
        changes["headers"] = {**base.headers, **settings.headers}
        changes["quirks"] = {**base.quirks, **settings.quirks}
    if settings.key is not None or settings.key_variable is not None or settings.key_file is not None:
        changes["key_needed"] = True
    if settings.url is not None and not _keeps_keys(settings.url, base.url, trusted=trusted):
        changes["key_variables"] = ()
    return msgspec.structs.replace(base, **changes)


def _keeps_keys(url: str, before: str, *, trusted: bool) -> bool:
    """Tell whether the row's own keys may go to a URL: its own origin, or the user's where it has none."""
    return parse_url(url).origin == parse_url(before).origin if before else trusted
