"""Media: bytes, their type, and data URIs. Opens no file; see :mod:`backstream.transport.media` for that."""

from __future__ import annotations

from backstream.media.data_uri import DataURI, decode_data_uri, encode_data_uri, is_data_uri
from backstream.media.item import MediaItem
from backstream.media.names import base_name, extension_of, media_type_of
from backstream.media.pixels import pixel_size
from backstream.media.segment import Base64Segment, DataURISegment
from backstream.media.sniffing import HEAD_BYTES, sniff

__all__ = [
    "HEAD_BYTES",
    "Base64Segment",
    "DataURI",
    "DataURISegment",
    "MediaItem",
    "base_name",
    "decode_data_uri",
    "encode_data_uri",
    "extension_of",
    "is_data_uri",
    "media_type_of",
    "pixel_size",
    "sniff",
]
