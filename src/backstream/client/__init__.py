"""The client: one name for a model of any provider, one stream of chunks, one reply."""

from __future__ import annotations

from backstream.client.client import Client
from backstream.client.stream import ChatStream
from backstream.client.synchronous import SyncClient, SyncStream

__all__ = ["ChatStream", "Client", "SyncClient", "SyncStream"]
