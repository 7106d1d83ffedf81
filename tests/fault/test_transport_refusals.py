"""Redirects, refusals, codings, wrong types: answers that are whole but not what was asked for."""
# ruff: noqa: SIM117 - a conversation reads better with the upstream around its requests

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from backstream.credentials import Secret
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    ContentTypeError,
    DecodeError,
    IncompleteStream,
    PaymentError,
    RateLimitError,
    RedirectError,
    RefusedError,
    TooLargeError,
    UnavailableError,
)
from backstream.testing.upstream import Close, ExpectEOF, ReadRequest, ScriptedUpstream, Send, SendSlowly, Wait
from backstream.transport.session import StreamSession
from support_transport import CHUNKED, LAST_CHUNK, chunk, head, ok

pytestmark = pytest.mark.usefixtures("no_leaks")

session = StreamSession()

# --- redirects (rows 35, 36, 37) ---


def redirect(status: int, *locations: str) -> bytes:
    return ok(b"moved", *(f"Location: {location}" for location in locations), status=f"{status} Moved")


@pytest.mark.parametrize("status", [307, 308])
async def test_a_post_follows_307_and_308_within_the_origin_with_its_body(status: int) -> None:
    script = [ReadRequest(), Send(redirect(status, "/there?x=1#part")), ReadRequest(), Send(ok(b"here"))]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url + "/a", json={"k": 1}, headers={"Authorization": "x"}) as response:
            assert await response.text() == "here"
            assert response.url == upstream.url + "/there?x=1"
    first, second = upstream.requests
    assert (second.method, second.target, second.body) == ("POST", "/there?x=1", first.body)
    assert second.headers["authorization"] == "x"
    assert second.connection == 0  # the redirect's connection is used again


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_never_follows_a_redirect_that_loses_its_body(status: int) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(redirect(status, "/there")), ExpectEOF()]) as upstream:
        with pytest.raises(RedirectError, match="lose") as caught:
            await session.post(upstream.url, json={})
        await upstream.closed()
    assert caught.value.status == status
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_get_follows_every_redirect_within_the_origin(method: str, status: int) -> None:
    scripts = [[ReadRequest(), Send(redirect(status, "there")), ReadRequest(), Send(ok()), ExpectEOF()]]
    if method == "HEAD":  # its connections are not used again
        bare = head("Location: there", "Content-Length: 5", status=f"{status} Moved")
        scripts = [[ReadRequest(), Send(bare), ExpectEOF()], [ReadRequest(), Send(ok()), ExpectEOF()]]
    async with ScriptedUpstream(*scripts) as upstream:
        async with session.request(method, upstream.url + "/a/b") as response:
            assert response.status == 200
    assert [(r.method, r.target) for r in upstream.requests] == [(method, "/a/b"), (method, "/a/there")]


async def test_nothing_leaves_for_another_origin() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as other:
        for where in (f"http://localhost:{other.port}/", other.url, f"//127.0.0.1:{other.port}/"):
            script = [ReadRequest(), Send(redirect(307, where)), ExpectEOF()]
            async with ScriptedUpstream(script) as upstream:
                with pytest.raises(RedirectError, match="another origin"):
                    await session.post(upstream.url, json={}, headers={"x-api-key": "canary"})
                with pytest.raises(RedirectError, match="another origin"):
                    await session.get(upstream.url, headers={"x-api-key": "canary"})
                await upstream.closed()
        assert other.connections == 0


@pytest.mark.parametrize(
    "locations",
    [(), ("/a", "/b"), ("http://[half",), ("http://user:canary@127.0.0.1/",), ("ftp://127.0.0.1/",), ("/a b",)],
    ids=["none", "two", "malformed", "with a password", "another scheme", "with a space"],
)
async def test_a_redirect_without_one_good_target_is_an_error(locations: tuple[str, ...]) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(redirect(307, *locations)), ExpectEOF()]) as upstream:
        with pytest.raises(RedirectError) as caught:
            await session.post(upstream.url, json={})
        await upstream.closed()
    assert "canary" not in str(caught.value)


async def test_a_redirect_loop_ends_after_three() -> None:
    loop = [ReadRequest(), Send(redirect(307, "/"))] * 5
    async with ScriptedUpstream(loop) as upstream:
        with pytest.raises(RedirectError, match="more than 3"):
            await session.post(upstream.url, json={})
    assert len(upstream.requests) == 4


async def test_a_body_that_cannot_be_sent_again_is_not_redirected() -> None:
    class Once:
        size = 2
        replayable = False

        def blocks(self) -> Any:
            yield b"ab"

    async with ScriptedUpstream([ReadRequest(), Send(redirect(307, "/there")), ExpectEOF()]) as upstream:
        with pytest.raises(RedirectError, match="sent again"):
            await session.post(upstream.url, data=[Once()])
        await upstream.closed()


async def test_a_redirect_of_an_unknown_kind_is_left_to_the_caller() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"pick", status="300 Choices"))]) as upstream:
        async with session.get(upstream.url) as response:
            assert response.status == 300
            with pytest.raises(RedirectError):
                response.raise_for_status()


# --- refusals (rows 34, 38, 39, 40) ---

STATUSES = {
    400: BackendRequestError,
    401: AuthenticationError,
    402: PaymentError,
    403: AuthenticationError,
    404: BackendRequestError,
    405: BackendRequestError,
    408: UnavailableError,
    409: UnavailableError,
    413: BackendRequestError,
    422: BackendRequestError,
    425: UnavailableError,
    429: RateLimitError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
    529: UnavailableError,
}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_refusing_status_raises_its_own_error(status: int) -> None:
    body = json.dumps({"error": {"message": "It is so.", "code": "the_code"}}).encode()
    async with ScriptedUpstream([ReadRequest(), SendSlowly(ok(body, status=f"{status} No"), piece=7)]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert not response.ok
            with pytest.raises(RefusedError) as caught:
                response.raise_for_status()
    error = caught.value
    assert type(error) is STATUSES[status]
    assert (error.status, error.kind, error.body, error.phase) == (status, "the_code", body, "headers")
    assert str(error) == f"It is so. ({status} the_code)"
    assert error.retryable is (STATUSES[status] in (RateLimitError, UnavailableError))


async def test_an_error_page_is_told_without_its_markup() -> None:
    page = b"<html><head><style>p {}</style><script>var x</script></head><body><h1>Bad\r\ngateway</h1></body></html>"
    answer = ok(page, "Content-Type: text/html", status="502 Bad Gateway")
    async with ScriptedUpstream([ReadRequest(), Send(answer)]) as upstream:
        error = await (await session.post(upstream.url, json={})).refusal()
    assert str(error) == "Bad gateway (502)"


async def test_a_key_that_the_refusal_repeats_is_not_in_the_error() -> None:
    body = b'{"error": "key canary-one and sk-proj-abcdef0123456789abcdef0123 and second-canary are wrong"}'
    async with ScriptedUpstream([ReadRequest(), Send(ok(body, status="401 No")), ExpectEOF()]) as upstream:
        headers = {"Authorization": "Bearer canary-one", "X-Other": Secret("second-canary")}
        async with session.post(upstream.url, json={}, headers=headers) as response:
            with pytest.raises(AuthenticationError) as caught:
                response.raise_for_status()
    assert upstream.requests[0].headers["x-other"] == "second-canary"
    for shown in (str(caught.value), repr(caught.value), repr(response), repr(response.headers)):
        assert "canary" not in shown
        assert "sk-proj" not in shown


async def test_a_refusal_in_a_broken_body_is_still_a_refusal() -> None:
    answer = head("Content-Length: 100", status="500 No") + b'{"error": "over'
    async with ScriptedUpstream([ReadRequest(), Send(answer), Close()]) as upstream:
        async with session.post(upstream.url, json={}) as response:
            with pytest.raises(UnavailableError) as caught:
                response.raise_for_status()
    assert str(caught.value) == "the back-end refused the request with status 500"


async def test_a_compressed_refusal_is_read() -> None:
    body = gzip.compress(b'{"detail": "no credit"}')
    async with ScriptedUpstream(
        [ReadRequest(), Send(ok(body, "Content-Encoding: gzip", status="402 Pay"))]
    ) as upstream:
        with pytest.raises(PaymentError, match="no credit"):
            (await session.post(upstream.url, json={})).raise_for_status()
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"x", "Content-Encoding: br", status="402 Pay"))]) as upstream:
        with pytest.raises(PaymentError, match="refused"):
            (await session.post(upstream.url, json={})).raise_for_status()


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 1.5"], 1.5),
        (["retry-after-ms: 250", "Retry-After: 7"], 0.25),
        (["Retry-After: 1000000000"], 86400.0),
        (["Retry-After: -1"], None),
        (["Retry-After: nan"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"], 0.0),
        ([], None),
    ],
)
async def test_retry_after_is_read_and_rubbish_is_not(fields: list[str], seconds: float | None) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"", *fields, status="429 Slow"))]) as upstream:
        with pytest.raises(RateLimitError) as caught:
            (await session.get(upstream.url)).raise_for_status()
    assert caught.value.retry_after_seconds == seconds


async def test_retry_after_a_date_to_come() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"", f"Retry-After: {date}", status="503 Later"))]) as upstream:
        with pytest.raises(UnavailableError) as caught:
            (await session.get(upstream.url)).raise_for_status()
    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= 100


async def test_success_raises_nothing() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"fine"))]) as upstream:
        async with session.get(upstream.url) as response:
            response.raise_for_status()
            assert await response.text() == "fine"


# --- codings (row 32) ---

TEXT = b"data: {}\n\n" * 1000


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("identity", TEXT),
        ("gzip", b""),
    ],
    ids=["gzip", "two members", "deflate", "raw deflate", "identity", "empty"],
)
async def test_a_coding_that_was_not_asked_for_is_undone(coding: str, body: bytes) -> None:
    script = [ReadRequest(), SendSlowly(ok(body, f"Content-Encoding: {coding}"), piece=3)]
    async with ScriptedUpstream(script) as upstream:
        async with session.post(upstream.url, json={}) as response:
            assert await response.text() == (TEXT.decode() if body else "")
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)[:-9]),
        ("deflate", zlib.compress(TEXT)[:-4]),
        ("gzip", b"no gzip at all, but long enough"),
        ("deflate", b"\xff\xfe no deflate"),
        ("gzip", gzip.compress(TEXT) + b"junk"),
    ],
    ids=["cut gzip", "cut deflate", "no gzip", "no deflate", "junk behind"],
)
async def test_a_broken_coding_is_a_decode_error(coding: str, body: bytes) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(body, f"Content-Encoding: {coding}"))]) as upstream:
        with pytest.raises(DecodeError, match="coding"):
            async with session.post(upstream.url, json={}) as response:
                await response.text()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "canary"])
async def test_an_unknown_coding_is_a_decode_error(coding: str) -> None:
    script = [ReadRequest(), Send(ok(b"xx", f"Content-Encoding: {coding}")), ExpectEOF()]
    async with ScriptedUpstream(script) as upstream:
        with pytest.raises(DecodeError, match="not known") as caught:
            await session.post(upstream.url, json={})
        await upstream.closed()
    assert "canary" not in str(caught.value)


async def test_a_bomb_is_stopped_before_it_grows() -> None:
    bomb = gzip.compress(b"\0" * (256 << 20))
    async with ScriptedUpstream([ReadRequest(), Send(ok(bomb, "Content-Encoding: gzip")), ExpectEOF()]) as upstream:
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError, match="decoded"):
                async with session.post(upstream.url, json={}) as response:
                    await response.text()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        await upstream.closed()
    assert peak < 64 << 20


# --- events (rows 26, 27, 29, 30, 33) ---


async def events(upstream: ScriptedUpstream, **options: Any) -> list[Any]:
    async with StreamSession(**options).post(upstream.url, json={}) as response:
        return [event async for event in response.sse()]


async def test_events_come_decoded_and_end_at_done() -> None:
    body = 'data: {"a": "é"}\n\n: ping\n\ndata: [1,\ndata: 2]\n\ndata: [DONE]\n\ndata: {"late": 1}\n\n'.encode()
    for tail in (LAST_CHUNK, b""):  # also when the server keeps the answer open
        async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(body) + tail), ExpectEOF()]) as upstream:
            assert await events(upstream) == [{"a": "é"}, [1, 2]]
            if not tail:
                await upstream.closed()


async def test_a_lone_surrogate_escape_becomes_a_replacement_character() -> None:
    async with ScriptedUpstream(
        [ReadRequest(), Send(CHUNKED + chunk(b'data: "\\ud83d"\n\n') + LAST_CHUNK)]
    ) as upstream:
        assert await events(upstream) == ["\ufffd"]


@pytest.mark.parametrize("data", [b"{", b"NaN", b"[" * 100_000, b"\xff"], ids=["cut", "NaN", "deep", "no UTF-8"])
async def test_data_that_are_no_json_are_a_decode_error_with_their_index(data: bytes) -> None:
    body = CHUNKED + chunk(b"data: 1\n\ndata: " + data + b"\n\n")
    async with ScriptedUpstream([ReadRequest(), Send(body), ExpectEOF()]) as upstream:
        with pytest.raises(DecodeError, match="event 1") as caught:
            await events(upstream)
        await upstream.closed()
    assert caught.value.index == 1


async def test_an_end_inside_an_event_or_without_framing_is_incomplete() -> None:
    for answer in (
        CHUNKED + chunk(b"data: 1\n\ndata: 2\n") + LAST_CHUNK,
        head("Content-Type: text/event-stream") + b"data: 1\n\n",
        CHUNKED + chunk(b"data: 1\n\n"),
    ):
        async with ScriptedUpstream([ReadRequest(), Send(answer), Close()]) as upstream:
            with pytest.raises(IncompleteStream):
                await events(upstream)


async def test_a_line_over_its_cap_is_too_large() -> None:
    endless = [ReadRequest(), Send(CHUNKED + chunk(b"data: " + b"x" * 5000)), ExpectEOF()]
    async with ScriptedUpstream(endless) as upstream:
        with pytest.raises(TooLargeError, match="max_line_bytes"):
            await events(upstream, max_line_bytes=4000)
    for lines in (b"x" * 5000, b"short\n" + b"x" * 5000 + b"\n"):
        async with ScriptedUpstream([ReadRequest(), Send(CHUNKED + chunk(lines)), ExpectEOF()]) as upstream:
            with pytest.raises(TooLargeError, match="line larger than the limit of 4000"):
                async with StreamSession(max_line_bytes=4000).get(upstream.url) as response:
                    async for _ in response.iter_lines():
                        pass
            await upstream.closed()


async def test_lines_come_without_their_ends_and_blank_ones_too() -> None:
    body = b"\xef\xbb\xbfa\r\nb\n\n\rc\nlast"
    for piece in (1, 3, 1000):
        async with ScriptedUpstream([ReadRequest(), SendSlowly(ok(body), piece)]) as upstream:
            async with session.get(upstream.url) as response:
                assert [line async for line in response.iter_lines()] == [b"a", b"b", b"", b"\rc", b"last"]


async def test_the_content_of_a_page_in_place_of_events_is_told_in_short() -> None:
    page = b"<html><title>Log in</title><body>" + b"please log in " * 100 + b"</body></html>"
    async with ScriptedUpstream([ReadRequest(), Send(ok(page, "Content-Type: text/html"))]) as upstream:
        with pytest.raises(ContentTypeError) as caught:
            await events(upstream)
    assert caught.value.content_type == "text/html"
    assert "Log in please log in" in str(caught.value)
    assert "<" not in str(caught.value)
    assert len(str(caught.value)) < 300


VECTORS = json.loads((Path(__file__).parents[1] / "data" / "sse-contract" / "cases.json").read_text())["http"]
# Following 301–303 is for GET alone, and tested above; what a request says of itself is its caller's choice.
FOR_ANSWERS = [case for case in VECTORS if "status" in case and "location" not in case]
FOR_REQUESTS = [case for case in VECTORS if "expect_request_header" in case]


def test_the_vectors_are_there() -> None:
    assert (len(VECTORS), len(FOR_ANSWERS), len(FOR_REQUESTS)) == (17, 11, 2)


@pytest.mark.parametrize("case", FOR_ANSWERS, ids=[case["name"] for case in FOR_ANSWERS])
async def test_the_http_cases_of_the_sse_contract(case: dict[str, Any]) -> None:
    body = case.get("body", "data: data\n\n").replace("data: data", 'data: "dat\u00e4"').encode()
    answer = ok(body, f"Content-Type: {case['content_type']}", status=f"{case['status']} X")
    async with ScriptedUpstream([ReadRequest(), Send(answer)]) as upstream:
        if case["expect"].startswith("open"):
            assert await events(upstream) == ["datä"]
        else:
            with pytest.raises((RefusedError, ContentTypeError)):
                await events(upstream)
    assert upstream.connections == 1  # and no second attempt


@pytest.mark.parametrize("case", FOR_REQUESTS, ids=[case["name"] for case in FOR_REQUESTS])
async def test_the_header_fields_an_event_source_sends(case: dict[str, Any]) -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok())]) as upstream:
        async with session.get(upstream.url, headers=case["expect_request_header"]):
            pass
    for name, value in case["expect_request_header"].items():
        assert upstream.requests[0].headers.get_all(name) == [value]


# --- whole bodies ---


async def test_text_honours_the_charset_and_survives_bad_bytes() -> None:
    cases = {
        "text/plain; charset=iso-8859-1": (b"\xe9", "é"),
        'text/plain; charset="UTF-8"': (b"\xc3\xa9\xff", "é\ufffd"),
        "text/plain; charset=rot13": (b"abc", "abc"),
        "text/plain; charset=no-such; x": (b"abc", "abc"),
        "text/plain; x=y": (b"abc", "abc"),
    }
    for content_type, (body, text) in cases.items():
        async with ScriptedUpstream([ReadRequest(), Send(ok(body, f"Content-Type: {content_type}"))]) as upstream:
            async with session.get(upstream.url) as response:
                assert await response.text() == text


async def test_json_is_decoded_or_refused() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b'{"a": [1, "\\ud800"]}'))]) as upstream:
        async with session.get(upstream.url) as response:
            assert await response.json() == {"a": [1, "\ufffd"]}
    for body in (b"", b"<html>", b"\xff", b"[" * 100_000):
        async with ScriptedUpstream([ReadRequest(), Send(ok(body))]) as upstream:
            with pytest.raises(DecodeError, match=r"not JSON|nested too deeply"):
                async with session.get(upstream.url) as response:
                    await response.json()


async def test_a_whole_body_over_its_cap_is_too_large() -> None:
    async with ScriptedUpstream([ReadRequest(), Send(ok(b"x" * 2000)), ExpectEOF()]) as upstream:
        for read in ("text", "json"):
            with pytest.raises(TooLargeError, match="max_bytes"):
                async with session.get(upstream.url) as response:
                    await getattr(response, read)(max_bytes=1000)


async def test_content_comes_as_it_arrives() -> None:
    more = asyncio.Event()
    script = [ReadRequest(), Send(CHUNKED + chunk(b"a")), Wait(more), Send(chunk(b"b") + LAST_CHUNK)]
    async with ScriptedUpstream(script) as upstream:
        async with session.get(upstream.url) as response:
            blocks = []
            async for block in response.iter_content():
                blocks.append(block)
                more.set()
            assert blocks == [b"a", b"b"]
