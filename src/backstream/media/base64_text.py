"""Base64 as ``data:`` URIs hold it: forgiving for what browsers accept, strict for what a server should. Pure."""

from __future__ import annotations

import binascii
from typing import Final

from backstream.errors import InvalidMediaError

__all__ = ["check_size", "decode_forgiving", "decode_strict"]

_WHITE: Final = b"\t\n\f\r "
_MISPADDED: Final = "a data URI holds base64 with padding where none belongs"


def check_size(size: int, max_bytes: int | None) -> None:
    """Refuse a size over its cap.

    Raises:
        InvalidMediaError: ``size`` is larger than ``max_bytes``.
    """
    if max_bytes is not None and size > max_bytes:
        raise InvalidMediaError(f"{size} bytes are over the limit of {max_bytes} bytes", "send a smaller file")


def decode_forgiving(text: bytes, *, max_bytes: int | None = None) -> bytes:
    """Decode base64 that may hold white space and lack its padding.

    Args:
        text: The base64 text.
        max_bytes: Cap on the decoded size, held before anything is decoded.

    Raises:
        InvalidMediaError: No base64, or over the cap.

    Source:
        https://infra.spec.whatwg.org/#forgiving-base64-decode
    """
    dense = text.translate(None, _WHITE)
    if len(dense) % 4 == 0:
        dense = dense[:-2] + dense[-2:].rstrip(b"=")
    left_over = len(dense) % 4
    if left_over == 1:
        raise InvalidMediaError("a data URI holds base64 of an impossible length")
    check_size(len(dense) * 3 // 4, max_bytes)
    if b"=" in dense:
        raise InvalidMediaError(_MISPADDED)
    return _decode(dense + b"=" * (-left_over % 4))


def decode_strict(text: str, *, max_bytes: int | None = None) -> bytes:
    """Decode base64 of the standard alphabet, padded, without white space.

    Args:
        text: The base64 text.
        max_bytes: Cap on the decoded size, held before anything is decoded.

    Raises:
        InvalidMediaError: Anything else, or over the cap.
    """
    if len(text) % 4:
        raise InvalidMediaError("a data URI holds base64 without its padding, or cut off")
    # CPython 3.11 lets more padding pass than a group can have.
    if text.find("=", 0, -2) >= 0:
        raise InvalidMediaError(_MISPADDED)
    check_size(len(text) // 4 * 3 - text[-2:].count("="), max_bytes)
    return _decode(text)


def _decode(text: bytes | str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # also binascii.Error; neither shows the text
        raise InvalidMediaError("a data URI holds characters that are no base64") from error
