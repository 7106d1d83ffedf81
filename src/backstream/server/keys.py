"""Client keys: who may use this server. The file holds SHA-256 digests, never a key.

Source for the digest: a key is 256 random bits, so one round of a plain hash cannot be searched through.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import re
import secrets
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from backstream.errors import ConfigurationError
from backstream.registry.server_config import KeyLimits

if sys.platform != "win32":
    import fcntl

__all__ = [
    "KeyRecord",
    "add_key",
    "default_keys_path",
    "digest_of",
    "keys_command",
    "limit_key",
    "list_keys",
    "remove_key",
]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PREFIX_CHARACTERS: Final = 8


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of one key.

    Attributes:
        name: Whose key it is.
        sha256: The digest of the key, 64 hex digits.
        prefix: Its first characters, to tell keys apart.
        created: When it was made, ISO 8601, UTC.
        limits: What it may use; where it says nothing, the configuration does.
    """

    name: str
    sha256: str
    prefix: str = ""
    created: str = ""
    limits: KeyLimits = KeyLimits()


class _KeyFile(msgspec.Struct):
    keys: list[KeyRecord] = []


def default_keys_path(environment: Mapping[str, str] | None = None) -> Path:
    """Return where client keys are kept: ``$XDG_CONFIG_HOME/backstream/keys.json``, or below ``~/.config``."""
    known = os.environ if environment is None else environment
    folder = known.get("XDG_CONFIG_HOME", "")
    return (Path(folder) if Path(folder).is_absolute() else Path.home() / ".config") / "backstream" / "keys.json"


def keys_command(words: str, path: Path | None) -> str:
    """Return the command line that works on a key file, for hints.

    Args:
        words: What to do, such as ``add NAME``.
        path: The key file; ``None`` for the usual one.
    """
    usual = path is None or path == default_keys_path()
    return f"backstream keys {words}" + ("" if usual else f" --keys-file {shlex.quote(str(path))}")


def digest_of(key: bytes) -> str:
    """Return the form of a key that is stored and compared."""
    return hashlib.sha256(key).hexdigest()


def list_keys(path: Path) -> Sequence[KeyRecord]:
    """Read a key file, JSON or (by its suffix) TOML; one that does not exist holds no key.

    Raises:
        ConfigurationError: It cannot be read, others may write it, or it is no key file.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o022:
        raise ConfigurationError(f"others may write the key file {path}", f"run: chmod 600 {path}")
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> Sequence[KeyRecord]:
    try:
        if path.suffix == ".toml":
            records = msgspec.convert(tomllib.loads(raw.decode()), _KeyFile).keys
        else:
            records = msgspec.json.decode(raw, type=_KeyFile).keys
    except (ValueError, msgspec.MsgspecError, RecursionError):
        remedy = f"make a new one with: {keys_command('add NAME', path)}"
        raise ConfigurationError(f"{path} is no key file", remedy) from None
    if any(re.fullmatch("[0-9a-f]{64}", record.sha256) is None for record in records):
        raise ConfigurationError(f"a digest in the key file {path} is not 64 lower-case hex digits")
    return records


def add_key(path: Path, name: str, limits: KeyLimits | None = None) -> str:
    """Make a key and store its digest.

    Args:
        path: The key file, JSON; made with mode 0600 where it does not exist.
        name: Whose key it is: at most 64 letters, digits, dots, dashes and underscores.
        limits: What it may use. Default what the server's configuration says.

    Returns:
        The key. It cannot be shown again.

    Raises:
        ConfigurationError: The name is malformed or taken, or the file cannot be read or written.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            "the key's name is malformed", "use at most 64 letters, digits, dots, dashes and underscores"
        )
    key = "bsk_" + secrets.token_urlsafe(32)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    record = KeyRecord(
        name=name,
        sha256=digest_of(key.encode()),
        prefix=key[:_PREFIX_CHARACTERS],
        created=now,
        limits=limits or KeyLimits(),
    )
    with _alone(path):
        records = list_keys(path)
        if any(known.name == name for known in records):
            raise ConfigurationError(f"there is a key named {name} already", "remove it first, or choose another name")
        _write(path, [*records, record])
    return key


def remove_key(path: Path, name: str) -> None:
    """Remove a key; a running server refuses it within seconds.

    Raises:
        ConfigurationError: There is no key of that name, or the file cannot be read or written.
    """
    with _alone(path):
        records = list_keys(path)
        kept = [record for record in records if record.name != name]
        if len(kept) == len(records):
            raise _no_such_key(path)
        _write(path, kept)


def limit_key(path: Path, name: str, limits: KeyLimits, *, lift: Collection[str] = ()) -> KeyLimits:
    """Change what a key may use; a running server knows within seconds.

    Args:
        path: The key file, JSON.
        name: Whose key it is.
        limits: What changes; where it says nothing, what was said before stays.
        lift: The names of limits of :class:`KeyLimits` to remove.

    Returns:
        Its limits now.

    Raises:
        ConfigurationError: There is no key of that name, or the file cannot be read or written.
    """
    with _alone(path):
        records = list_keys(path)
        before = next((record.limits for record in records if record.name == name), None)
        if before is None:
            raise _no_such_key(path)
        kept = {each: None if each in lift else value for each, value in msgspec.structs.asdict(before).items()}
        now = limits.over(KeyLimits(**kept))
        replace = msgspec.structs.replace
        _write(path, [replace(record, limits=now) if record.name == name else record for record in records])
    return now


def _no_such_key(path: Path) -> ConfigurationError:
    return ConfigurationError("there is no key of that name", f"list them with: {keys_command('list', path)}")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other writers out from reading to writing, so that of two commands at once none loses its key.

    The folder is locked, since the file is replaced. What stands in the way of that is told by reading or writing.
    """
    with contextlib.ExitStack() as stack:
        if sys.platform != "win32":  # there two commands at once may still lose a key
            with contextlib.suppress(OSError):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder = os.open(path.parent, os.O_RDONLY)
                stack.callback(os.close, folder)
                fcntl.flock(folder, fcntl.LOCK_EX)
        yield


def _write(path: Path, records: Sequence[KeyRecord]) -> None:
    """Replace the file as a whole, so that a server never reads half of it."""
    if path.suffix == ".toml":
        raise ConfigurationError(f"{path} is kept by hand", "only key files in JSON are written")
    temporary: str | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode({"keys": records})) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise ConfigurationError(f"the key file {path} cannot be written: {error.strerror}") from None
