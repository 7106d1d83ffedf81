"""Tell text from binary, and SVG, HTML and XML from other text. Pure; sees only the first bytes."""

from __future__ import annotations

import codecs
import re
from typing import Final

__all__ = ["HEAD_BYTES", "is_binary", "sniff_text"]

HEAD_BYTES: Final = 4096
"""How many of the first bytes are looked at."""

_BOMS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
_BINARY: Final = bytes(c for c in range(0x20) if c not in b"\t\n\f\r\x1b")
_HTML: Final = re.compile(rb"<(?:!doctype html|html|head|body|script)[\s>]", re.IGNORECASE)
_SVG: Final = re.compile(rb"<(?:\w+:)?svg[\s/>]")


def is_binary(head: bytes) -> bool:
    """Return whether some first bytes are no text: a control byte, and no mark of an encoding before it.

    Source:
        https://mimesniff.spec.whatwg.org/#binary-data-byte
    """
    return not head.startswith(_BOMS) and len(head.translate(None, _BINARY)) != len(head)


def sniff_text(head: bytes, named: str | None) -> str | None:
    """Name the kind of a text.

    Args:
        head: Bytes that are not binary.
        named: The type of text that the file name promises; it is kept, unless the bytes show an SVG picture.

    Returns:
        The type; ``None`` where nothing says ``text`` but the lack of control bytes: not UTF-8, and no name.
    """
    markup = _skip_prologue(head)
    if _SVG.match(markup):
        return "image/svg+xml"
    if named is not None:
        return named
    if _HTML.match(markup):
        return "text/html"
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<?xml"):
        return "text/xml"
    return "text/plain" if head.startswith(_BOMS) or _is_utf8(head) else None


def _is_utf8(head: bytes) -> bool:
    try:
        # A full head may end inside a character.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _skip_prologue(head: bytes) -> bytes:
    """Cut off what may stand before the root element: white space, declarations, comments, a document type."""
    rest = head.removeprefix(codecs.BOM_UTF8).lstrip()
    while True:
        for opening, closing in ((b"<!--", b"-->"), (b"<?", b"?>"), (b"<!DOCTYPE svg", b">")):
            if rest.startswith(opening):
                rest = rest[rest.find(closing) + len(closing) :].lstrip() if closing in rest else b""
                break
        else:
            return rest
