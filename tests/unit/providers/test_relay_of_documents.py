from __future__ import annotations

from backstream.dialects.names import dialect_for
from backstream.dialects.relay import relay_for
from backstream.providers.dialect_provider import DialectProvider
from backstream.providers.rows_shape import Row
from backstream.providers.sources import source_of
from backstream.reply import End
from backstream.request import Request, TextPart, Turn
from backstream.testing.upstream import Close, ReadRequest, ScriptedUpstream, Send

DOCUMENT = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP"}]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT)


async def test_a_document_where_a_stream_was_asked_for_is_not_relayed() -> None:
    """It has no frames, so that a client of the same dialect would be sent nothing."""
    request = Request(model="m", turns=(Turn(role="user", parts=(TextPart(text="Hi"),)),))
    gemini = dialect_for("gemini")
    async with ScriptedUpstream([ReadRequest(), Send(HEAD + DOCUMENT), Close()]) as upstream:
        row = Row(name="box", label="box", url=upstream.url, dialect="gemini", documentation="test", key_needed=False)
        relay = relay_for(gemini, gemini, request)
        assert relay is not None
        source = await source_of(DialectProvider(row).answer(request, relay=relay))
        block = await source.read_block()
        while not isinstance(block[-1], End):
            block += await source.read_block()
        await source.aclose()
    assert source.relay is None  # type: ignore[attr-defined]
    assert [chunk.content for chunk in block[:-1] if hasattr(chunk, "content")] == ["Hi"]
