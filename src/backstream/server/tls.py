"""The server's side of TLS: certificate and key from files, which can be read again while it runs. Knows no HTTP."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec

from backstream.errors import ConfigurationError

__all__ = ["ServerTLS", "TLSFiles"]


class TLSFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a server shows and proves its name with.

    Attributes:
        certificate: A PEM file: the server's certificate, then those that lead to its authority.
        key: A PEM file: the certificate's private key, without a password.
    """

    certificate: Path
    key: Path


class ServerTLS:
    """The TLS settings of a running server; make it in a thread.

    Args:
        files: Certificate and key.

    Attributes:
        context: For listening sockets. It shows what was read last.

    Raises:
        ConfigurationError: A file cannot be read, or is not what it should be; the text names it.
    """

    def __init__(self, files: TLSFiles) -> None:
        self._files = files
        self.context = self._current = _build(files)
        self.context.sni_callback = self._show_current

    def _show_current(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, begun: ssl.SSLContext) -> None:
        """Called for every handshake, also where the client names no server."""
        connection.context = self._current

    async def reload(self) -> None:
        """Read the files again: new connections are shown what they hold, running ones go on.

        Raises:
            ConfigurationError: As above; what was read before stays in force.
        """
        self._current = await asyncio.to_thread(_build, self._files)


def _build(files: TLSFiles) -> ssl.SSLContext:
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"cannot read {path}: {reason}", "check its name and who may read it") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, files)
    return context


def _load(context: ssl.SSLContext, files: TLSFiles) -> None:
    asked: list[bool] = []

    def no_password(*_: Any) -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(files.certificate, files.key, no_password)
    except (ssl.SSLError, OSError, ValueError):
        if asked:
            raise ConfigurationError(f"{files.key} is locked with a password", "store the key without one") from None
        if not _is_certificate(files.certificate):
            raise ConfigurationError(f"{files.certificate} holds no certificate", "use a PEM file") from None
        raise ConfigurationError(
            f"{files.key} does not hold the key of the certificate in {files.certificate}", "use the PEM file that does"
        ) from None


def _is_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True
