"""Certificates made for a test, by an authority made for the test."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import trustme


class Certificates:
    """An authority, its file, and the TLS settings of servers it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(self.file))

    def server(self, name: str = "localhost", *, expired: bool = False) -> ssl.SSLContext:
        """A server that shows a certificate for ``name``."""
        until = dt.datetime(2001, 1, 1, tzinfo=dt.UTC) if expired else None
        since = dt.datetime(2000, 1, 1, tzinfo=dt.UTC) if expired else None
        leaf = self.authority.issue_cert(name, not_after=until, not_before=since)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        """A client that trusts the authority and nobody else."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context
