"""TLS contexts for the four ways to ask for one, built once, off the loop; and what a failed handshake means."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
from typing import TypeAlias

from backstream.errors import ConfigurationError, TLSError

__all__ = ["SSLSetting", "find_context", "load_context", "tls_error"]

_log = logging.getLogger("backstream.transport")

SSLSetting: TypeAlias = "bool | ssl.SSLContext | str | os.PathLike[str] | None"
"""``None`` (or ``True``) trusts the operating system's store, ``False`` verifies nothing, a path names a CA file, and
an ``SSLContext`` is used as it is."""

_contexts: dict[object, ssl.SSLContext] = {}
_lock = threading.Lock()


def _key(setting: SSLSetting) -> object:
    if setting is None or isinstance(setting, bool):
        return setting is not False
    path = os.fspath(setting)  # type: ignore[arg-type]
    try:
        status = os.stat(path)  # noqa: PTH116 - the path may be of any PathLike
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no usable path"
        raise ConfigurationError(f"the CA file {path!r} cannot be read: {reason}") from error
    return path, status.st_mtime_ns, status.st_size


def find_context(setting: SSLSetting) -> ssl.SSLContext | None:
    """Return the context of a setting if it is at hand without any work or file access; else ``None``."""
    if isinstance(setting, ssl.SSLContext):
        return setting
    if setting is None or isinstance(setting, bool):
        return _contexts.get(setting is not False)
    return None


def _build(setting: SSLSetting) -> ssl.SSLContext:
    with _lock:  # also keeps a burst of first calls from building the same context many times
        key = _key(setting)
        if key in _contexts:
            return _contexts[key]
        if setting is None or isinstance(setting, bool):
            context = ssl.create_default_context()
        else:
            context = _load_authorities(os.fspath(setting))  # type: ignore[arg-type]
        if setting is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            _log.warning("certificates are not verified (ssl=False): anybody on the way can read and change everything")
        context.set_alpn_protocols(["http/1.1"])
        _contexts[key] = context
        return context


def _load_authorities(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"the CA file {path!r} holds no certificates in PEM form") from error


async def load_context(setting: SSLSetting) -> ssl.SSLContext:
    """Return the context of a setting, built in a thread where that is still to be done.

    Raises:
        ConfigurationError: The CA file cannot be read or holds no certificate.
    """
    ready = find_context(setting)
    if ready is not None:
        return ready
    if not (setting is None or isinstance(setting, bool | str | os.PathLike)):
        raise ConfigurationError(
            f"ssl is a {type(setting).__name__}", "pass None, False, an SSLContext or the path of a CA file"
        )
    return await asyncio.get_running_loop().run_in_executor(None, _build, setting)


def tls_error(error: BaseException, host: str) -> TLSError:
    """Say what went wrong in a handshake; never retryable."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(f"the certificate of {host} is not valid: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return TLSError(f"TLS handshake with {host} failed: {error.reason or 'protocol error'}")
    return TLSError(f"TLS handshake with {host} failed: the connection was closed")
