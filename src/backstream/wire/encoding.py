"""Undoing gzip and deflate as bytes arrive, with a bound on what they may grow into. No I/O.

We ask for no coding; some servers and proxies compress all the same.
"""

from __future__ import annotations

import zlib

from backstream.errors import DecodeError, TooLargeError

__all__ = ["FREE_BYTES", "MAX_RATIO", "ContentDecoder", "make_decoder"]

MAX_RATIO = 100
"""How many times its size a body may grow into. Text grows at most some 20 times, a bomb a thousand."""

FREE_BYTES = 1024 * 1024
"""Up to this size a body may grow at any ratio."""

_GZIP = zlib.MAX_WBITS | 16


class ContentDecoder:
    """Decodes one body.

    Args:
        coding: ``gzip`` or ``deflate``.
    """

    __slots__ = ("_coding", "_engine", "_given", "_head", "_taken")

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._engine = zlib.decompressobj(_GZIP)
        self._head: bytes | None = b""
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes; the result may be empty.

        Raises:
            DecodeError: The bytes are not of that coding.
            TooLargeError: They grow beyond all measure.
        """
        self._taken += len(data)
        if self._head is not None:
            # Two bytes tell whether "deflate" has its zlib wrapper.
            self._head += data
            if len(self._head) < 2:
                return b""
            data, self._head = self._head, None
            self._engine = self._start(data)
        pieces = []
        while data:
            if self._engine.eof:
                # RFC 1952 §2.2: gzip members may follow one another.
                self._engine = self._start(data)
            pieces.append(self._decode(data))
            data = self._engine.unused_data
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Note the end of the body.

        Raises:
            DecodeError: The coded body is cut off.
        """
        if self._taken and not self._engine.eof:
            raise DecodeError(f"the {self._coding} coding of the answer is cut off")
        return b""

    def _decode(self, data: bytes) -> bytes:
        limit = max(FREE_BYTES, MAX_RATIO * self._taken)
        room = limit - self._given
        try:
            decoded = self._engine.decompress(data, room + 1)
        except zlib.error as error:
            raise DecodeError(f"the answer is not of the coding it claims, {self._coding}") from error
        if len(decoded) > room:
            raise TooLargeError("decoded answer", limit)
        self._given += len(decoded)
        return decoded

    def _start(self, data: bytes) -> zlib._Decompress:
        if self._coding == "gzip":
            return zlib.decompressobj(_GZIP)
        # Some servers send "deflate" without the zlib wrapper that RFC 9110 §8.4.1.2 asks for. RFC 1950 §2.2: a wrapper
        # begins with the method 8 and a number divisible by 31.
        wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def make_decoder(content_encoding: str) -> ContentDecoder | None:
    """Return the decoder for a Content-Encoding value; ``None`` where there is nothing to decode.

    Raises:
        DecodeError: A coding we do not know, or several.
    """
    coding = content_encoding.strip().lower().removeprefix("x-")
    if coding in {"", "identity"}:
        return None
    if coding not in {"gzip", "deflate"}:
        raise DecodeError("the answer has a content coding that was not asked for and is not known here")
    return ContentDecoder(coding)
