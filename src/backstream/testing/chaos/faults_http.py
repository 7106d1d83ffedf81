"""Faults of HTTP around the stream: heads, lengths, chunks, encodings, redirects, refusals."""

from __future__ import annotations

from typing import Final

from backstream.testing.chaos.shape import Fault
from backstream.testing.chaos.steps import (
    Begin,
    Close,
    Compressed,
    Ending,
    Failure,
    Head,
    Hold,
    LastChunk,
    N,
    Pause,
    Pieces,
    Raw,
    Repeat,
    Reset,
)

__all__ = ["OF_HTTP"]

_BODY: Final = (Begin(), Pieces(), Ending(), LastChunk())
_PAGE: Final = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to this network</body></html>"

OF_HTTP: Final = (
    Fault(
        name="close-at-once",
        about="the request is read, and the connection closed without a byte",
        rows=(5,),
        outcome="broken",
        script=(Close(),),
    ),
    Fault(
        name="reset-at-once",
        about="the request is read, and the connection reset without a byte",
        rows=(6,),
        outcome="broken",
        script=(Reset(),),
    ),
    Fault(
        name="no-headers",
        about="nothing at all, for ever",
        rows=(7,),
        outcome="broken",
        ends=False,
        script=(Hold(),),
    ),
    Fault(
        name="half-headers",
        about="half a head, then nothing more",
        rows=(7, 8),
        outcome="broken",
        ends=False,
        script=(Raw(b"HTTP/1.1 200 OK\r\nContent-Ty"), Hold()),
    ),
    Fault(
        name="slow-headers",
        about="a head that comes a byte at a pace and never ends",
        rows=(8,),
        outcome="broken",
        ends=False,
        script=(Raw(b"HTTP/1.1 200 OK\r\nX-Slow: "), Repeat((Raw(b"x"), Pause()))),
    ),
    Fault(
        name="big-header",
        about="a header field of 1 MiB",
        rows=(9,),
        outcome="either",
        script=(Head(fields=(("X-Big", "x" * 1024 * 1024),)), *_BODY),
    ),
    Fault(
        name="many-headers",
        about="two thousand header fields",
        rows=(9,),
        outcome="either",
        script=(Head(fields=tuple((f"X-Field-{index}", "x") for index in range(2000))), *_BODY),
    ),
    Fault(
        name="folded-header",
        about="a header field that goes on in the next line",
        rows=(9,),
        outcome="either",
        script=(Head(fields=(("X-Folded", "one\r\n two"),)), *_BODY),
    ),
    Fault(
        name="bad-header",
        about="a header field with a NUL in it, and a line without a colon",
        rows=(9,),
        outcome="broken",
        script=(Head(fields=(("X-Bad", "one\0two\r\nno colon here"),)), *_BODY),
    ),
    Fault(
        name="no-http",
        about="an answer that is no HTTP",
        rows=(9,),
        outcome="broken",
        script=(Raw(b"220 mail.invalid ESMTP\r\n"), Close()),
    ),
    Fault(
        name="interim",
        about="100 Continue and 103 Early Hints before the answer",
        rows=(10,),
        outcome="complete",
        script=(
            Raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"),
            Head(),
            *_BODY,
        ),
    ),
    Fault(
        name="http10",
        about="HTTP/1.0: a whole answer that ends with its connection",
        rows=(11,),
        outcome="complete",
        script=(Head(framing="close", version="1.0"), Begin(), Pieces(), Ending(), Close()),
    ),
    Fault(
        name="http10-cut-after-N",
        about="HTTP/1.0: the connection ends after N pieces",
        rows=(11, 25),
        outcome="broken",
        number=3,
        script=(Head(framing="close", version="1.0"), Begin(), Pieces(N), Close()),
    ),
    Fault(
        name="length-short",
        about="a Content-Length that ends inside an event; the rest comes all the same",
        rows=(12,),
        outcome="broken",
        script=(Head(framing="short"), *_BODY),
    ),
    Fault(
        name="length-long",
        about="a Content-Length that promises more than comes",
        rows=(12,),
        outcome="either",
        whole="broken",
        script=(Head(framing="long"), *_BODY, Close()),
    ),
    Fault(
        name="two-lengths",
        about="two Content-Length that do not agree",
        rows=(13,),
        outcome="broken",
        script=(Head(framing="plain", fields=(("Content-Length", "20"), ("Content-Length", "30"))), *_BODY, Close()),
    ),
    Fault(
        name="length-and-chunks",
        about="a Content-Length and chunks",
        rows=(13,),
        outcome="either",
        script=(Head(fields=(("Content-Length", "20"),)), *_BODY),
    ),
    Fault(
        name="trailers",
        about="chunks with extensions, and trailers behind the last one",
        rows=(14,),
        outcome="complete",
        script=(
            Head(fields=(("Trailer", "X-Checksum"),)),
            Raw(b'1;name="a value";other\r\n\n\r\n'),
            Begin(),
            Pieces(),
            Ending(),
            Raw(b"0;last\r\nX-Checksum: 1\r\n\r\n"),
            Close(),
        ),
    ),
    Fault(
        name="bad-chunk",
        about="three pieces, then a chunk whose size is no number",
        rows=(15,),
        outcome="broken",
        script=(Head(), Begin(), Pieces(3), Raw(b"xyz\r\n"), *_BODY[1:]),
    ),
    Fault(
        name="huge-chunk",
        about="three pieces, then a chunk that says it is of 2⁶⁸ bytes",
        rows=(15,),
        outcome="broken",
        script=(Head(), Begin(), Pieces(3), Raw(b"100000000000000000\r\n"), *_BODY[1:]),
    ),
    Fault(
        name="gzip-bomb-N",
        about="a small compressed body that inflates to N MiB",
        rows=(32,),
        outcome="broken",
        number=1024,
        most=16_384,
        script=(Head(fields=(("Content-Encoding", "gzip"),)), Compressed(), LastChunk()),
    ),
    Fault(
        name="bad-gzip",
        about="a body that is called gzip and is not",
        rows=(32,),
        outcome="broken",
        script=(Head(fields=(("Content-Encoding", "gzip"),)), *_BODY),
    ),
    Fault(
        name="html",
        about="status 200 and a page, as a network that wants a login answers",
        rows=(33,),
        outcome="broken",
        script=(
            Head(framing="plain", content_type="text/html", fields=(("Content-Length", str(len(_PAGE))),)),
            Raw(_PAGE),
        ),
    ),
    Fault(
        name="204",
        about="no content",
        rows=(34,),
        outcome="broken",
        script=(Head(status=204, framing="plain"),),
    ),
    Fault(
        name="redirect-303",
        about="a redirect that would make a GET of the request",
        rows=(35,),
        outcome="broken",
        script=(Head(status=303, framing="plain", fields=(("Location", "/elsewhere"), ("Content-Length", "0"))),),
    ),
    Fault(
        name="redirect",
        about="a redirect to another origin, where no request must arrive",
        rows=(36,),
        outcome="broken",
        script=(
            Head(
                status=307, framing="plain", fields=(("Location", "http://chaos.invalid:9/"), ("Content-Length", "0"))
            ),
        ),
    ),
    Fault(
        name="redirect-loop",
        about="a redirect to itself",
        rows=(37,),
        outcome="broken",
        script=(Head(status=307, framing="plain", fields=(("Location", "?again"), ("Content-Length", "0"))),),
    ),
    Fault(
        name="redirect-nowhere",
        about="a redirect without Location",
        rows=(37,),
        outcome="broken",
        script=(Head(status=307, framing="plain", fields=(("Content-Length", "0"),)),),
    ),
    Fault(
        name="error-first",
        about="429 with Retry-After: 1",
        rows=(39,),
        outcome="broken",
        number=429,
        script=(Head(status=429, fields=(("Retry-After", "1"),)), Failure(), LastChunk()),
    ),
    Fault(
        name="error-N",
        about="a refusal with status N",
        rows=(38, 39),
        outcome="broken",
        number=500,
        most=599,
        script=(Head(status=N), Failure(), LastChunk()),
    ),
    Fault(
        name="retry-after-forever",
        about="429 with Retry-After: 1000000000",
        rows=(40,),
        outcome="broken",
        number=429,
        script=(Head(status=429, fields=(("Retry-After", "1000000000"),)), Failure(), LastChunk()),
    ),
)
"""The rows."""
