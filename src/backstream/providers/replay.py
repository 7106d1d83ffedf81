"""Play a recording back: the same bytes, cut as they came, through the parser that first read them. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.dialects.names import DIALECTS, dialect_for
from backstream.errors import ConfigurationError, IncompleteStream
from backstream.options import CallOptions
from backstream.providers.recorder_file import Recording
from backstream.providers.whole_answer import answer_parser
from backstream.reply import Block, End, judged
from backstream.wire.http import media_type

__all__ = ["replay"]


def replay(recording: Recording, body: bytes) -> Iterator[tuple[float, Block]]:
    """Parse a recorded answer again.

    Args:
        recording: The recording.
        body: Its bytes.

    Yields:
        For each read, and for the end: the seconds since the head, and what the parser made of it. The last item of all
        is an ``End``. That of an answer whose connection failed, or that nobody read on, is ``incomplete``, or
        ``cancelled``, as it was then.

    Raises:
        ConfigurationError: It is of a dialect, or of quirks, that are not known here.
    """
    if recording.dialect not in DIALECTS:
        raise ConfigurationError(f"the recording is of an unknown dialect {recording.dialect[:40]!r}")
    dialect = dialect_for(recording.dialect, recording.quirks)
    content_type = media_type(recording.header("content-type"))
    parser = answer_parser(dialect, content_type, streamed=recording.streamed, options=CallOptions())
    seconds, received = 0.0, False
    for seconds, piece in recording.pieces(body):
        block = parser.feed(piece)
        if parser.done and not _is_over(block):
            block += parser.finish(framed=False)
        received = received or len(block) > _is_over(block)
        if block and isinstance(end := block[-1], End):
            block[-1] = judged(end, received=received)
        yield seconds, block
        if _is_over(block):
            return
    if recording.truncated:
        yield seconds, [End("cancelled", ("recorded no further",))]
    elif recording.ended == "failed":
        error = IncompleteStream(recording.problem or "the connection failed")
        yield seconds, [End("incomplete", (recording.error or "failed",), error)]
    elif recording.ended == "left":
        yield seconds, [End("cancelled", ("left by its reader",))]
    else:
        yield seconds, parser.finish(framed=recording.framing in ("chunked", "length"))


def _is_over(block: Block) -> bool:
    return bool(block) and isinstance(block[-1], End)
