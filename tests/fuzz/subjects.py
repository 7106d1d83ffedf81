"""Everything that reads bytes of strangers, each as one check of any bytes; with what to begin from.

A check passes for every input: it is accepted, or refused with a documented error, alike at any cut, within its caps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backstream.dialects.backend_api.framing import TolerantDecoder
from backstream.media.data_uri import decode_data_uri, is_data_uri
from backstream.registry.config import load_config
from backstream.registry.document import parse_document
from backstream.server.asgi import Request
from backstream.server.forwarded import UNKNOWN, TrustedProxies
from backstream.server.trace import parse_trace
from backstream.testing.chop import FeedDecoder
from backstream.transport.answer import Answer
from backstream.wire.json_array import JSONArrayDecoder
from backstream.wire.json_media import JSONMediaDecoder
from backstream.wire.jsonlines import JSONLinesDecoder
from backstream.wire.multipart import MultipartDecoder, PartData, parse_boundary
from backstream.wire.sse import SSEDecoder
from backstream.wire.sse_data import EventDataDecoder
from fuzz.outcomes import Outcome, decoded, documented, same_at_any_cut

__all__ = ["DATA", "Subject", "recorded", "subjects"]

DATA = Path(__file__).parent.parent / "data"
_CAP = 96


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something that is fuzzed.

    Attributes:
        name: Its name; also that of the folder with what was found.
        check: Takes any bytes; fails where they are not handled as they must be.
        seeds: What to begin from.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Sequence[bytes]

    @property
    def found(self) -> list[bytes]:
        """What was found once, and must never be again."""
        folder = DATA / "fuzz" / self.name
        return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def recorded(*patterns: str, largest: int = 16_384) -> list[bytes]:
    """Return recorded bodies of any of the patterns, below ``tests/data``, the shortest first."""
    paths = {path for pattern in patterns for path in DATA.glob(pattern)}
    bodies = {path.read_bytes() for path in paths if path.is_file()}
    return sorted((body for body in bodies if 0 < len(body) <= largest), key=lambda body: (len(body), body))


def _decoder(make: Callable[..., FeedDecoder[Any]]) -> Callable[[bytes], None]:
    """Check a decoder with its own caps, and with small ones."""

    def check(data: bytes) -> None:
        same_at_any_cut(lambda pieces: decoded(make, pieces), data)
        small = {"max_event_bytes": _CAP}
        if make is not JSONArrayDecoder:
            small["max_line_bytes"] = _CAP // 2
        if make is JSONLinesDecoder:
            del small["max_event_bytes"]
        largest = _CAP // 2 if make is JSONLinesDecoder else _CAP
        same_at_any_cut(lambda pieces: decoded(lambda: make(**small), pieces, largest=largest), data)

    return check


def _http_answer(data: bytes) -> None:
    def run(pieces: Sequence[bytes]) -> Outcome:
        answer = Answer("POST")

        def feed_all() -> None:
            for piece in pieces:
                answer.feed(piece)

        error = documented(feed_all)
        head = (answer.status, answer.reason, answer.fields, answer.framing)
        # how much of a broken body came before its fault is the parser's business
        body = b"".join(answer.blocks) if error is None else b""
        return [head, body], (error and error[0], answer.complete, answer.keep_alive)

    same_at_any_cut(run, data)


def _multipart(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    boundary = documented(lambda: parse_boundary(head.decode("latin-1")))
    if not isinstance(boundary, bytes):
        return

    def run(pieces: Sequence[bytes]) -> Outcome:
        decoder = MultipartDecoder(boundary, max_parts=8)
        events: list[Any] = []

        def feed_all() -> None:
            for piece in pieces:
                for event in decoder.feed(piece):
                    if isinstance(event, PartData) and events and isinstance(events[-1], PartData):
                        events[-1] = PartData(events[-1].data + event.data)
                    else:
                        events.append(event)
            decoder.finish()

        error = documented(feed_all)
        # a fault inside a transfer encoding may be told before, or after, the data in front of it
        return (events, None) if error is None else ([], error[0])

    same_at_any_cut(run, body)


def _json_media(data: bytes) -> None:
    def run(pieces: Sequence[bytes]) -> Outcome:
        decoder = JSONMediaDecoder(token="t", max_json_bytes=4096, max_depth=32)

        def feed_all() -> bytes:
            for piece in pieces:
                decoder.feed(piece)
            return bytes(decoder.finish())

        rest = documented(feed_all)
        return [], rest[0] if isinstance(rest, tuple) else rest

    same_at_any_cut(run, data)


def _config(data: bytes) -> None:
    opened = documented(lambda: parse_document(Path("backstream.toml"), data))
    if isinstance(opened[0], type):
        return
    path = _folder() / "backstream.toml"
    path.write_bytes(data)
    path.chmod(0o600)
    documented(lambda: load_config(path, environ={}))
    problems: list[Any] = []
    load_config(path, environ={}, problems=problems)


def _folder() -> Path:
    import tempfile

    folder = Path(tempfile.gettempdir()) / "backstream-fuzz"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _data_uri(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace") if _is_text(data) else ""
    for strict in (False, True):
        found = documented(lambda strict=strict: decode_data_uri(text, strict=strict, max_bytes=64))
        if not isinstance(found[0], type):
            assert not strict or is_data_uri(text), "what is none was read"  # browsers drop line ends first
            assert len(found.data) <= 64, "larger than its cap"


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _request(data: bytes) -> Request:
    """Read lines ``name: value`` as the fields of a request."""
    fields = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.append((name.strip().lower(), value.strip()))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "scheme": "http",
        "headers": fields,
        "client": ("10.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return Request(scope)


def _forwarded(data: bytes) -> None:
    import ipaddress

    request = _request(data)
    TrustedProxies(["10.0.0.0/8", "127.0.0.0/8"]).apply(request)
    assert request.scheme in ("http", "https")
    if request.client_host != UNKNOWN:
        ipaddress.ip_address(request.client_host or "")
    assert request.forwarded_host is None or not set(request.forwarded_host) & set(" /@\\\r\n,;\"'<>")


def _trace(data: bytes) -> None:
    found = parse_trace(_request(data))
    if found is None:
        return
    int(found.trace_id, 16), int(found.parent_id, 16)
    for text in found.fields.values():
        assert text.isascii(), f"{text!r} goes into a header field"
        assert text.isprintable(), f"{text!r} goes into a header field"


_TEXTS: Mapping[str, tuple[bytes, ...]] = {
    "http_answer": (
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
        ),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end",
        b"HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=5\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ),
    "multipart": (
        b'multipart/form-data; boundary=b\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n',
        (
            b'multipart/form-data; boundary="b c"\npre\r\n--b c\r\nContent-Disposition: form-data; name="f"; '
            b"filename*=utf-8''%e2%82%ac.png\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            b"aGVsbG8=\r\n--b c--\r\nend"
        ),
        (
            b"multipart/form-data; boundary=b\n--b\r\nContent-Disposition: form-data; name=a\r\n"
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3D=\r\nb\r\n--b--"
        ),
    ),
    "json_media": (
        b'{"messages": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}]}]}',
        b'{"source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}, "x": "\\u0064ata:,x"}',
        b'{"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}, "images": ["aGVsbG8="]}',
    ),
    "config": (
        b'[providers.box]\nurl = "http://127.0.0.1:1/v1"\nkey = "abc"\nheaders = {x = "y"}\nmodels = ["m"]\n',
        b'[defaults]\nmodel = "a/b"\nreceipts = "strict"\n[defaults.deadlines]\nidle = 3\ntotal = 0\n',
        (
            b'[server]\nhost = "127.0.0.1"\nport = 1\ntrusted_proxies = ["10.0.0.0/8"]\n'
            b"[server.limits]\nmax_streams = 3\n"
            b'[keys.a]\nmodels = ["x/*"]\n[routes]\nfast = ["a/b", "c/d"]\n[routes.slow]\nto = ["e/f"]\n'
        ),
        b'[aliases]\nx = "y/z"\ny = "x"\n[prices."a/b"]\ninput = 1.0\noutput = 2\n',
    ),
    "data_uri": (
        b"data:image/png;base64,aGVsbG8=",
        b"data:,hello%20world",
        b"data:text/plain;charset=utf-8;base64,aGVs\nbG8",
        "data:text/html,<p>grüß</p>#x".encode(),
        b" DATA: image/svg+xml ; BASE64 ,YQ==",
    ),
    "trace": (
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=1,b@c=2 , d=3",
        b"traceparent: cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more\ntracestate: x=1\ntracestate: x=2",
    ),
    "forwarded": (
        b'forwarded: for="[2001:db8::1]:80";proto=https;host="a.example:8", for=10.0.0.1',
        b"x-forwarded-for: 192.0.2.1, 10.0.0.9\nx-forwarded-proto: https\nx-forwarded-host: b.example",
        b'forwarded: for=unknown\nforwarded: for="_x\\"y";by=1\nx-forwarded-for: 192.0.2.1:80',
    ),
}

_STREAMS = ("recorded/**/*.sse", "recorded/aimock/*/*.body")


def subjects() -> dict[str, Subject]:
    """Return everything that is fuzzed, by name."""
    from fuzz.subjects_dialects import dialect_subjects

    events = recorded(*_STREAMS, largest=4096)[:40]
    lines = recorded("recorded/ollama/*", "backend-api-captures/**/*.jsonl", largest=4096)[:20]
    captured = recorded("backend-api-captures/**/*", largest=4096)[:40]
    found = [
        Subject("sse", _decoder(SSEDecoder), events),
        Subject("sse_data", _decoder(EventDataDecoder), events),
        Subject("jsonlines", _decoder(JSONLinesDecoder), lines),
        Subject("tolerant", _decoder(TolerantDecoder), [*captured, *lines, *events[:10]]),
        Subject("json_array", _decoder(JSONArrayDecoder), [b'[{"a": "]\\""}, {"b": [1, {}]}]', b"[]", b' [ {} ,"x"] ']),
    ]
    checks = {
        "http_answer": _http_answer,
        "multipart": _multipart,
        "json_media": _json_media,
        "config": _config,
        "data_uri": _data_uri,
        "trace": _trace,
        "forwarded": _forwarded,
    }
    found += [Subject(name, check, _TEXTS[name]) for name, check in checks.items()]
    found += dialect_subjects()
    return {subject.name: subject for subject in found}
