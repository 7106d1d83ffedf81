"""``backstream.toml`` and the environment, read into values by one loader. Asks no provider, and resolves no name."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from backstream.credentials import Secret
from backstream.dialects.names import DIALECTS
from backstream.errors import ConfigurationError
from backstream.models import Price
from backstream.options import Deadlines
from backstream.registry.document import Document, parse_document
from backstream.registry.recorder_config import RecorderConfig, read_recorder, recorder_by_environment
from backstream.registry.recovery_config import ClocksConfig, OfRoutes, RecoveryConfig
from backstream.registry.routes import check_routes
from backstream.registry.server_config import KeyConfig, RouteList, ServerConfig
from backstream.registry.server_tables import read_key, read_route, read_server
from backstream.request import Policy
from backstream.transport.session import check_url
from backstream.wire.http import check_field

__all__ = [
    "FILE_NAME",
    "Config",
    "Defaults",
    "ProviderConfig",
    "find_config",
    "load_config",
    "user_folder",
    "without_url",
]

_T = TypeVar("_T")

_LOGGER: Final = logging.getLogger("backstream.registry")
_TABLES: Final = ("providers", "aliases", "defaults", "prices", "server", "keys", "routes", "recorder")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AUTH: Final = re.compile(r"[A-Za-z0-9_-]+(?::\s*[A-Za-z0-9_-]*\s*)?")
FILE_NAME: Final = "backstream.toml"
"""What the file is called in the folders where it is looked for."""


class ProviderConfig(OfRoutes, frozen=True, kw_only=True, omit_defaults=True):
    """A table ``[providers.NAME]``: a new provider, or what is different about a known one.

    Attributes:
        extends: The known provider whose row this one starts from.
        url: Its base URL. All that a server of OpenAI's kind needs.
        label: Its name for people.
        dialect: How it is spoken to. Default ``openai_chat``.
        auth: The header, and scheme, that carries the key, such as ``authorization: bearer`` or ``x-api-key``.
        key: The key itself.
        key_variable: The environment variable that holds the key.
        key_file: The file that holds it, from this file's folder; ``~`` is the home folder.
        headers: Further header fields of every request.
        models_path: Where it lists its models, below ``url``; ``""`` where it does not.
        models: The models it is known to have.
        default_model: The model used where none is named.
        quirks: What its dialect must know of it.
        plugin: Take the installed plug-in of this name where there is a built-in provider too.
        deadlines: How long each stage of a call may take.
    """

    extends: str | None = None
    url: str | None = None
    label: str | None = None
    dialect: str | None = None
    auth: str | None = None
    key: Secret | None = None
    key_variable: str | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = {}
    models_path: str | None = None
    models: tuple[str, ...] = ()
    default_model: str | None = None
    quirks: Mapping[str, Any] = {}
    plugin: bool = False
    deadlines: ClocksConfig = ClocksConfig()

    def __repr__(self) -> str:
        # header fields may hold keys too
        return f"<ProviderConfig url={self.url!r} extends={self.extends!r} headers={list(self.headers)}>"


class Defaults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The table ``[defaults]``.

    Attributes:
        model: The model used where a call names none.
        receipts: What becomes of a parameter that a back-end cannot take; see :data:`backstream.request.Policy`.
            Default ``warn``.
        deadlines: See :class:`backstream.Deadlines`; 0 in the file lets a stage take for ever.
        recovery: What a call may do to survive trouble.
    """

    model: str | None = None
    receipts: Policy = "warn"
    deadlines: Deadlines = Deadlines()
    recovery: RecoveryConfig = RecoveryConfig()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What was configured.

    Attributes:
        document: The file, to tell where in it something is; ``None`` where there is none.
        trusted: Whether the user chose the file: one that just lies in the working folder may come from anybody, and
            so may not send the user's stored keys anywhere new.
        providers: By name, in the order of the file.
        aliases: Other names for models.
        defaults: What holds where a call says nothing.
        prices: By ``provider/model``.
        model_from: What ``defaults.model`` comes from, for people.
        server: How the gateway is to be run.
        keys: What is said of client keys, by their names.
        routes: Routing lists, by the name of the model that clients ask for.
        recorder: Where streams are recorded, if anywhere.
    """

    document: Document | None = None
    trusted: bool = True
    providers: Mapping[str, ProviderConfig] = {}
    aliases: Mapping[str, str] = {}
    defaults: Defaults = Defaults()
    prices: Mapping[str, Price] = {}
    model_from: str = ""
    server: ServerConfig = ServerConfig()
    keys: Mapping[str, KeyConfig] = {}
    routes: Mapping[str, RouteList] = {}
    recorder: RecorderConfig = RecorderConfig()

    def error(self, keys: Sequence[str], problem: str, remedy: str = "") -> ConfigurationError:
        """Return an error that names the file, the line of a key, and the key."""
        if self.document is not None:
            return self.document.error(keys, problem, remedy)
        return ConfigurationError(f"{'.'.join(keys)} {problem}", remedy)


def without_url(error: ConfigurationError) -> str:
    """Return what is wrong with a URL, without showing it: it may be a key in the wrong place."""
    return re.sub(r"\Athe URL ['\"]\S+ ", "the URL ", error.problem)


def user_folder(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    """Return the program's folder of one kind: below an XDG variable, or where that is unset below the home folder.

    Source: XDG Base Directory Specification (a path that is not absolute is to be ignored).
    """
    named = Path(environ.get(variable, ""))
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return (named if named.is_absolute() else home / below_home) / "backstream"


def find_config(
    path: str | PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[Path | None, bool]:
    """Find the file to read: the argument, ``$BACKSTREAM_CONFIG``, the working folder, the user's configuration folder.

    Args:
        path: The file; it must exist, as must one that the variable names.
        environ: The environment; ``None`` for this process's.
        folder: The working folder; ``None`` for this process's.

    Returns:
        The file, and whether the user chose it; one found in the working folder they did not.
    """
    environ = os.environ if environ is None else environ
    if named := path or environ.get("BACKSTREAM_CONFIG"):
        try:
            return Path(named).expanduser(), True
        except RuntimeError:
            raise ConfigurationError(
                f"the home folder in {os.fspath(named)} is unknown", "write the whole path"
            ) from None
    here = (folder or Path.cwd()) / FILE_NAME
    users = user_folder(environ, "XDG_CONFIG_HOME", ".config") / FILE_NAME
    if here.is_file():
        return here, here.resolve() == users.resolve()
    return (users, True) if users.is_file() else (None, True)


def load_config(
    path: str | PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    problems: list[ConfigurationError] | None = None,
) -> Config:
    """Read the configuration: the first file there is (see :func:`find_config`), and over it the environment.

    ``BACKSTREAM_MODEL`` and ``BACKSTREAM_RECEIPTS`` win over ``[defaults]``. Reads one small file: call it in a thread
    where that matters.

    Args:
        path: See :func:`find_config`.
        environ: See :func:`find_config`.
        folder: See :func:`find_config`.
        problems: Takes what is wrong with single entries, which are then left out; ``None`` raises the first one.

    Raises:
        ConfigurationError: The file cannot be read, or a key of it is unknown or wrong; the text names file, line and
            key, and never shows a value.
    """
    environ = os.environ if environ is None else environ
    found, trusted = find_config(path, environ=environ, folder=folder)
    config = Config() if found is None else _read(found, trusted=trusted, problems=problems)
    return _with_environment(config, environ)


def _read(path: Path, *, trusted: bool, problems: list[ConfigurationError] | None) -> Config:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            document, tables = parse_document(path, file.read())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    config = _Reader(document, trusted=trusted, problems=problems).config(tables)
    holds_key = any(settings.key is not None for settings in config.providers.values())
    if os.name == "posix" and holds_key and mode & (stat.S_IRGRP | stat.S_IROTH):
        _LOGGER.warning("others can read %s, which holds a key; run: chmod 600 %s", path, path)
    return config


class _Reader:
    """Makes values of one document."""

    def __init__(self, document: Document, *, trusted: bool, problems: list[ConfigurationError] | None) -> None:
        self._document = document
        self._trusted = trusted
        self._problems = problems

    def config(self, tables: Mapping[str, Any]) -> Config:
        parts = self._parts(tables)
        aliases: Mapping[str, str] = {}
        defaults, server, recorder = Defaults(), ServerConfig(), RecorderConfig()
        with self._noted():
            aliases = self._aliases(parts["aliases"])
        with self._noted():
            defaults = self._defaults(parts["defaults"])
        with self._noted():
            server = read_server(self._document, parts["server"], trusted=self._trusted)
        with self._noted():
            recorder = read_recorder(self._document, parts["recorder"], trusted=self._trusted)
        routes = self._each(parts["routes"], functools.partial(read_route, self._document))
        with self._noted():
            check_routes(self._document, aliases, routes)
        return Config(
            document=self._document,
            trusted=self._trusted,
            providers=self._each(parts["providers"], self._provider),
            aliases=aliases,
            defaults=defaults,
            prices=self._each(parts["prices"], self._price),
            model_from=f"[defaults] of {self._document.path}",
            server=server,
            keys=self._each(parts["keys"], functools.partial(read_key, self._document, trusted=self._trusted)),
            routes=routes,
            recorder=recorder,
        )

    def _parts(self, tables: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        for name in tables:
            with self._noted():
                self._document.check_names([], [name], _TABLES)
        parts: dict[str, Mapping[str, Any]] = {name: {} for name in _TABLES}
        for name in _TABLES:
            with self._noted():
                parts[name] = self._document.table([name], tables.get(name, {}))
        return parts

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep what is wrong, where all of it is wanted."""
        try:
            yield
        except ConfigurationError as error:
            if self._problems is None:
                raise
            self._problems.append(error)

    def _each(self, table: Mapping[str, Any], read: Callable[[str, object], _T]) -> Mapping[str, _T]:
        found: dict[str, _T] = {}
        for name, value in table.items():
            with self._noted():
                found[name] = read(name, value)
        return found

    def _provider(self, name: str, value: object) -> ProviderConfig:
        keys = ["providers", name]
        if not _NAME.fullmatch(name):
            raise self._document.error(keys, "is no name for a provider", "use letters, digits, dots and dashes")
        table = self._document.table(keys, value)
        deadlines = self._document.convert([*keys, "deadlines"], table.get("deadlines", {}), ClocksConfig)
        found = self._document.convert(keys, {**table, "deadlines": {}}, ProviderConfig)
        given = [key for key in ("key", "key_variable", "key_file") if getattr(found, key) is not None]
        if len(given) > 1:
            raise self._document.error([*keys, given[1]], f"and {given[0]} are both given", "keep one of them")
        if given and given[0] != "key" and not self._trusted:
            raise self._document.error(
                [*keys, given[0]],
                "in a file that just lies in the working folder could send any key of yours anywhere",
                f"set BACKSTREAM_CONFIG={FILE_NAME} if you trust it",
            )
        if found.dialect is not None:
            self._document.check_value([*keys, "dialect"], found.dialect, list(DIALECTS))
        try:
            url = None if found.url is None else check_url(found.url)
        except ConfigurationError as error:
            raise self._document.error([*keys, "url"], f"is wrong: {without_url(error)}", error.remedy) from None
        if found.auth is not None and not _AUTH.fullmatch(found.auth):
            remedy = 'write "authorization: bearer", or a field alone such as "x-api-key"'
            raise self._document.error([*keys, "auth"], "names no header field", remedy)
        for header, text in found.headers.items():
            try:
                check_field(header, text)
            except ConfigurationError as error:
                raise self._document.error([*keys, "headers"], f"is wrong: {error}") from None
        if found.models_path and not found.models_path.startswith("/"):
            raise self._document.error([*keys, "models_path"], "does not begin with a slash", "give what follows url")
        key_file = self._document.place([*keys, "key_file"], found.key_file)
        return msgspec.structs.replace(found, url=url, key_file=key_file, deadlines=deadlines)

    def _aliases(self, table: Mapping[str, Any]) -> Mapping[str, str]:
        for name, value in table.items():
            self._document.typed(["aliases", name], value, str)
        return table

    def _defaults(self, table: Mapping[str, Any]) -> Defaults:
        clocks = self._document.table(["defaults", "deadlines"], table.get("deadlines", {}))
        recovery = self._document.convert(["defaults", "recovery"], table.get("recovery", {}), RecoveryConfig)
        found = self._document.convert(["defaults"], {**table, "deadlines": {}, "recovery": {}}, Defaults)
        self._document.check_names(["defaults", "deadlines"], clocks, Deadlines.__struct_fields__)
        deadlines = found.deadlines
        for name, value in clocks.items():
            keys = ["defaults", "deadlines", name]
            seconds = self._document.typed(keys, value, float)
            try:
                deadlines = Deadlines(**{**msgspec.structs.asdict(deadlines), name: seconds or None})
            except ConfigurationError as error:
                raise self._document.error(keys, f"is wrong: {error}") from None
        return msgspec.structs.replace(found, deadlines=deadlines, recovery=recovery)

    def _price(self, name: str, value: object) -> Price:
        keys = ["prices", name]
        if not all(name.partition("/")):
            raise self._document.error(keys, "names no model of a provider", 'write [prices."provider/model"]')
        found = self._document.convert(keys, value, Price)
        for key in ("input", "output", "cached_input"):
            amount = getattr(found, key)
            if amount is not None and not 0 <= amount < float("inf"):
                raise self._document.error([*keys, key], "is no price", "give an amount for a million tokens")
        if not re.fullmatch("[A-Z]{3}", found.currency):
            raise self._document.error([*keys, "currency"], "is no currency", "use a code of three letters, like USD")
        return found


def _with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    defaults, model_from = config.defaults, config.model_from
    if model := environ.get("BACKSTREAM_MODEL", "").strip():
        defaults, model_from = msgspec.structs.replace(defaults, model=model), "BACKSTREAM_MODEL"
    if receipts := environ.get("BACKSTREAM_RECEIPTS", "").strip():
        try:
            defaults = msgspec.structs.replace(defaults, receipts=msgspec.convert(receipts, Policy))
        except msgspec.ValidationError:
            raise ConfigurationError("BACKSTREAM_RECEIPTS is wrong", "use strict, warn or drop") from None
    recorder = recorder_by_environment(config.recorder, environ)
    return msgspec.structs.replace(config, defaults=defaults, model_from=model_from, recorder=recorder)
