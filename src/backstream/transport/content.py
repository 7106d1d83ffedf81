"""Whole bodies and single events as values: JSON, and which charset a text claims. Pure."""

from __future__ import annotations

import codecs
import json
from typing import Any

import msgspec

from backstream.errors import DecodeError

__all__ = ["charset_of", "decode_json"]


def charset_of(content_type: str) -> str:
    """Return the text encoding that a Content-Type claims; ``utf-8`` where it claims none that is known."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                info = codecs.lookup(value.strip(" \"'"))
            except (LookupError, ValueError):
                break
            # Codecs such as "rot13" and "zip" are no text encodings.
            return info.name if getattr(info, "_is_text_encoding", True) else "utf-8"
    return "utf-8"


def decode_json(text: str | bytes, index: int | None = None) -> Any:
    """Decode JSON; lone surrogate escapes become U+FFFD.

    Args:
        text: The JSON text.
        index: The position of the event that it is, for the error.

    Raises:
        DecodeError: It is no JSON (``NaN`` is none either), or is nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # Peers send lone surrogate escapes, which msgspec refuses and the standard library takes.
        value = json.loads(text)
        text_again = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return msgspec.json.decode(text_again)
    except (ValueError, RecursionError):  # both modules' decode errors, and UnicodeError, are ValueErrors
        raise DecodeError("not JSON", index=index) from None
