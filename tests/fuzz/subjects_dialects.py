"""What the dialects read: streams, whole answers, refusals, lists of models, requests of clients; and the relay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backstream.dialects.base import Dialect, Envelope
from backstream.dialects.names import DIALECTS, dialect_for
from backstream.dialects.relay import FrameRelay
from backstream.errors import ProviderError, UnsupportedFeatureError
from backstream.models import ModelInfo
from backstream.options import CallOptions
from backstream.reply import End, fold
from backstream.request import Receipts, Request
from backstream.testing.dialects import ANSWERS, REFUSALS, REQUESTS
from backstream.wire.json_text import decode_json
from backstream.wire.sse_data import EventDataDecoder
from fuzz.outcomes import Outcome, documented, parsed, same_at_any_cut
from fuzz.subjects import Subject, recorded

__all__ = ["dialect_subjects"]

_ENVELOPE = Envelope(id="a1", model="m", created=1_700_000_000)
_RELAYED = ("openai_chat", "anthropic_messages", "gemini", "ollama")
_SMALL = CallOptions(max_line_bytes=256, max_event_bytes=512)


def _stream(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        for options in (CallOptions(), _SMALL):
            for framed in (True, False):
                chunks, _ = same_at_any_cut(
                    lambda pieces, options=options, framed=framed: parsed(  # type: ignore[misc]
                        dialect.stream_parser(options), pieces, framed=framed
                    ),
                    data,
                )
            for chunk in chunks:
                msgspec.json.encode(chunk.get_dict())
            fold(chunks)

    return check


def _reply(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        block = documented(lambda: dialect.parse_reply(data))
        if isinstance(block, tuple):
            return
        ends = [item for item in block if isinstance(item, End)]
        assert len(ends) == 1, f"{len(ends)} ends"
        assert block[-1] is ends[0], "it went on after its end"
        fold(block[:-1])

    return check


def _error(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        for status in (None, 200, 400, 401, 404, 429, 500, 529, 999):
            error = dialect.parse_error(status, {"content-type": "application/json", "retry-after": "1"}, data)
            assert isinstance(error, ProviderError), f"{error!r}"
            assert len(str(error).splitlines()) == 1, f"{error!s}"
            dialect.render_error(error)

    return check


def _models(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        page = documented(lambda: dialect.parse_models(data))
        if not isinstance(page, tuple):
            msgspec.json.encode(dialect.render_models(page.models))

    return check


def _request(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        members = documented(lambda: decode_json(data))
        if not isinstance(members, dict):
            return
        request = documented(lambda: dialect.parse_request(members))
        if isinstance(request, Request):  # what was read can be asked of every back-end, or is refused
            for name in DIALECTS:
                documented(lambda name=name: dialect_for(name).render_request(request, Receipts()))

    return check


def _relay(dialect: Dialect) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        if dialect.name == "gemini" and data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
            return  # no event stream: it is not given to a relay
        for with_usage in (True, False):

            def run(pieces: Sequence[bytes], *, with_usage: bool = with_usage) -> Outcome:
                relay = FrameRelay(dialect.name, with_usage=with_usage)
                chunks, end = parsed(relay.watch(dialect.stream_parser()), pieces, framed=True)
                passed = _said(dialect, relay.take())
                for each in passed if end[0] == "failed" else ():  # how much of it is up to the cuts
                    assert (
                        each == b"[DONE]"
                        or not each.strip()
                        or isinstance(decode_json(each.decode("utf-8", "replace")), dict)
                    )
                return [chunks, passed if end[0] == "complete" else None], end

            (_, passed), end = same_at_any_cut(run, data)
            if end[0] == "complete":  # the client must see a whole answer too
                frames = b"".join(passed if dialect.name == "ollama" else [b"data: %b\n\n" % each for each in passed])
                _, told = parsed(dialect.stream_parser(), [frames], framed=True)
                assert told[0] == "complete", f"complete here, {told} at the client"

    return check


def _said(dialect: Dialect, passed: bytes) -> list[bytes]:
    """Return what was passed on, without comments: whether they are passed on is up to what they came with."""
    if dialect.name == "ollama":
        return passed.splitlines(keepends=True)
    decoder = EventDataDecoder()
    return [*decoder.feed(passed), *decoder.finish()]


def _requests(dialect: Dialect) -> list[bytes]:
    found = []
    for request in REQUESTS.values():
        try:
            body = dialect.render_request(request, Receipts()).body
        except UnsupportedFeatureError:
            continue
        found.append(b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in body))
    return found


def _streams(dialect: Dialect) -> list[bytes]:
    end = End("complete", ("said",))
    made = []
    for chunks in ANSWERS.values():
        renderer = dialect.stream_renderer(_ENVELOPE)
        made.append(b"".join([*(renderer.render([chunk]) for chunk in chunks), renderer.render([end])]))
    name = dialect.name
    kinds = (f"recorded/{name}/*.sse", f"recorded/{name}/*.ndjson", f"recorded/aimock/{name}/*.body")
    seen = recorded(*kinds, largest=6000)
    if name == "backend_api":
        seen = recorded("backend-api-captures/**/*", largest=4096)
    return [*made, *(body for body in seen if not body.lstrip().startswith(b"<"))][:60]


def _wholes(dialect: Dialect) -> list[bytes]:
    made = [dialect.render_reply([*chunks, End("complete", ("said",))], _ENVELOPE) for chunks in ANSWERS.values()]
    return [*made, *recorded(f"recorded/{dialect.name}/*.json", f"recorded/aimock/{dialect.name}/*whole.body")[:30]]


def dialect_subjects() -> list[Subject]:
    """Return what of the dialects is fuzzed."""
    found = []
    for name in DIALECTS:
        dialect = dialect_for(name)
        refused = [dialect.render_error(each)[1] for each in REFUSALS]
        refused += recorded(f"recorded/aimock/{name}/error*.body", f"recorded/{name}/error*")
        models: Any = dialect.render_models([ModelInfo(id="m1"), ModelInfo(id="m2")])
        found += [
            Subject(f"{name}.stream", _stream(dialect), _streams(dialect)),
            Subject(f"{name}.reply", _reply(dialect), _wholes(dialect)),
            Subject(f"{name}.error", _error(dialect), refused),
            Subject(f"{name}.models", _models(dialect), [models]),
            Subject(f"{name}.request", _request(dialect), _requests(dialect)),
        ]
        if name in _RELAYED:
            found.append(Subject(f"{name}.relay", _relay(dialect), _streams(dialect)))
    odd = dialect_for("openai_chat", {"think_tags": True})
    found.append(Subject("openai_chat.think_tags", _stream(odd), _streams(odd)))
    array = dialect_for("gemini", {"framing": "array"})
    found.append(Subject("gemini.array", _stream(array), [b'[{"candidates": []}, {"usageMetadata": {}}]', b"[]"]))
    return found
