"""Which charset a text claims. Pure."""

from __future__ import annotations

import codecs

__all__ = ["charset_of"]


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
