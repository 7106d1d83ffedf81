"""Client keys at the door: what a request presents, compared with what is stored."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from backstream.errors import ConfigurationError
from backstream.server.addresses import FailedKeys
from backstream.server.asgi import Refusal, Request
from backstream.server.keys import KeyRecord, digest_of, list_keys

__all__ = ["KeyRing", "authenticate", "bearer_token", "presented_keys"]

_LOGGER: Final = logging.getLogger("backstream.server")
_NO_DIGEST: Final = "0" * 64
_MAX_KEY_BYTES: Final = 1024
_CHECK_SECONDS: Final = 1.0
_HEADERS: Final = (b"g4f-api-key", b"x-api-key", b"x-goog-api-key")


class KeyRing:
    """The keys of one server, read again when their file changes.

    A server that has had a key never opens again: if the file goes away, every request is refused.

    Args:
        path: The key file; ``None`` for a server without one.
        digests: Keys that no file holds: the name of each, and its SHA-256 as 64 hex digits.

    Attributes:
        required: Whether every request needs a key.
        failed: Who presented keys that are none.

    Raises:
        ConfigurationError: The file cannot be read, or is none.
    """

    def __init__(self, path: Path | None, digests: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._configured: dict[str, KeyRecord] = {}
        self._records: dict[str, KeyRecord] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._checked = time.monotonic()
        self.required = False
        self.failed = FailedKeys()
        self._load()
        self.configure(digests or {})

    def configure(self, digests: Mapping[str, str]) -> None:
        """Take other keys that no file holds, instead of those there were."""
        self._configured = {digest: KeyRecord(name=name, sha256=digest) for name, digest in digests.items()}
        self.required = self.required or bool(self._configured)

    def _load(self) -> None:
        if self._path is None:
            return
        stamp = _stamp_of(self._path)
        if stamp == self._stamp and self._records:
            return
        records = {record.sha256: record for record in list_keys(self._path)}
        if records and not self.required:
            _LOGGER.info("client keys exist: every request needs one from now on")
        elif self._records and not records and not self._configured:
            _LOGGER.warning("no client key is left: every request is refused until one is added or the server restarts")
        self._stamp, self._records = stamp, records
        self.required = self.required or bool(records)

    async def refresh(self) -> None:
        """Read the file again, in a thread, if it changed and the last look is more than a second ago."""
        now = time.monotonic()
        if self._path is None or now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        try:
            await asyncio.to_thread(self._load)
        except ConfigurationError as error:
            _LOGGER.error("keys not read again: %s", error)

    def find(self, key: bytes) -> KeyRecord | None:
        """Return the record of a key; an unknown key costs as much as a known one."""
        digest = digest_of(key[:_MAX_KEY_BYTES])
        record = self._records.get(digest) or self._configured.get(digest)
        same = hmac.compare_digest(digest, record.sha256 if record is not None else _NO_DIGEST)
        return record if same and len(key) <= _MAX_KEY_BYTES else None


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def bearer_token(request: Request) -> bytes | None:
    """Return the token of ``Authorization: Bearer …``; ``None`` where there is none, or the field is repeated."""
    values = request.values(b"authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    return token.strip() or None if scheme.lower() == b"bearer" else None


def presented_keys(request: Request) -> Sequence[bytes]:
    """Return every key a request presents; none where a field is repeated, since nobody can say which one counts.

    Source: Google's REST clients put the key into the address, https://ai.google.dev/api; only where its API is asked.
    """
    keys = [key.encode("latin-1", "replace") for key in request.queries("key")] if _is_gemini(request.path) else []
    if len(keys) > 1:
        return []
    for name in _HEADERS:
        values = request.values(name)
        if len(values) > 1:
            return []
        keys += values
    authorization = request.values(b"authorization")
    if len(authorization) > 1:
        return []
    token = bearer_token(request)
    if token is not None:
        keys.append(token.partition(b" ")[0])  # a key for the back-end may follow
    elif authorization:
        keys += _basic_password(authorization[0])
    return [key for key in keys if key]


def _is_gemini(path: str) -> bool:
    return path.startswith("/v1beta/") or (path.startswith("/v1/models/") and ":" in path)


def _basic_password(value: bytes) -> Sequence[bytes]:
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return []
    try:
        _, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return []
    return [password] if colon else []


def authenticate(request: Request, keys: KeyRing) -> KeyRecord:
    """Return the record of the key a request presents.

    Raises:
        Refusal: 401, the same one whatever was wrong; 429 where its address has presented too many wrong ones, and then
            no key was looked at.
    """
    keys.failed.check(request.client_host)
    presented = presented_keys(request)
    for key in presented:
        record = keys.find(key)
        if record is not None:
            return record
    keys.failed.note(request.client_host, len(presented))
    raise Refusal(
        401, "Not authenticated; send a client key", [(b"www-authenticate", b'Basic realm="backstream", Bearer')]
    )
