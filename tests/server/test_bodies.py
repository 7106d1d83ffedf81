from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import InvalidMediaError
from backstream.media import MediaItem
from backstream.server import Settings, create_app
from backstream.server.bodies import BodyLimits, ReceivedBody, read_request
from backstream.server.refusals import ClientGone, RequestRefused
from backstream.server.spool import Spool
from support_server import CONVERSATION, Journal, close, head_and_body, provider_of, running

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU"
JSON_SUITE = Path(__file__).parents[1] / "data" / "jsontestsuite" / "test_parsing"
MIB = 1024 * 1024


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def content_of(item: MediaItem | str) -> bytes:
    assert isinstance(item, MediaItem)
    assert item.blocks is not None
    content = b"".join(item.blocks())
    assert b"".join(item.blocks()) == content  # any number of times
    assert item.size == len(content)
    return content


def receiving(*blocks: bytes, end: bool = True) -> Callable[[], Any]:
    """Make the ASGI callable of a request whose body comes in these blocks; without ``end`` the client leaves."""
    messages: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": b, "more_body": True} for b in blocks]
    messages.append({"type": "http.request"} if end else {"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        return next(waiting)

    return receive


def open_files(folder: Path) -> list[str]:
    """Return the named and the nameless files that are open, or lie, in a folder."""
    found = [str(path) for path in folder.iterdir()]
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


class Reader:
    """Reads bodies, and sees to it that no file is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[ReceivedBody] = []

    async def __call__(self, *blocks: bytes, kind: str = "application/json", **changes: Any) -> ReceivedBody:
        headers = {"content-type": kind, **changes.pop("headers", {})}
        limits = BodyLimits(**{"max_memory_bytes": 1, **changes}, spool_directory=str(self.folder))
        body = await read_request(receiving(*blocks), headers, limits)
        self.opened.append(body)
        return body

    async def refused(self, *blocks: bytes, **changes: Any) -> RequestRefused:
        self.close()
        with pytest.raises(RequestRefused) as caught:
            await self(*blocks, **changes)
        assert open_files(self.folder) == []
        assert "\n" not in str(caught.value)
        return caught.value

    def close(self) -> None:
        for body in self.opened:
            body.close()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()
    reader.close()  # does no harm
    assert open_files(tmp_path) == []


async def outcome_of(reading: Awaitable[ReceivedBody]) -> object:
    try:
        body = await reading
    except RequestRefused as refusal:
        return refusal.status, refusal.message
    assert isinstance(body.members, dict)
    body.close()
    return "accepted"


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    written = b"".join(
        b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return written + end


FORM = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"
BODY = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}], "media": None, "temperature": 0.5}
PLAIN = json.dumps(BODY).encode()
BIG = PNG + bytes(range(256)) * 1024


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "nonsense", URLENCODED])
async def test_json_is_read_whatever_it_is_called(read: Reader, content_type: str) -> None:
    body = await read(b" ", PLAIN[:10], b"", PLAIN[10:], kind=content_type)
    assert body.members == BODY
    assert list(body.members) == list(BODY)
    assert body.media is None


async def test_a_byte_order_mark_is_passed_over(read: Reader) -> None:
    body = await read(b"\xef\xbb", b"\xbf" + PLAIN)
    assert body.members == BODY


async def test_media_in_json_become_items_whole_and_in_small_pieces(read: Reader) -> None:
    media = [
        [uri(PNG), "small.png"],
        ["https://example.org/a.png", "far.png"],
        [uri(BIG), "C:\\pictures\\big.png"],
        [uri(BIG, "application/octet-stream"), None],
        ["data:text/csv,a%2Cb", "../../table"],
        [uri(b"just text", "text/plain")],
    ]
    text = json.dumps({"model": "echo", "media": media, "n": 1}).encode()
    for size in (len(text), 1000, 65536):
        body = await read(*(text[i : i + size] for i in range(0, len(text), size)))
        assert body.members == {"model": "echo", "media": None, "n": 1}
        assert body.media is not None
        assert [name for _, name in body.media] == ["small.png", "far.png", "big.png", None, "table", None]
        items = [item for item, _ in body.media]
        assert items[1] == "https://example.org/a.png"
        assert [content_of(items[i]) for i in (0, 2, 3, 4, 5)] == [PNG, BIG, BIG, b"a,b", b"just text"]
        types = [item.media_type for item in items if isinstance(item, MediaItem)]
        assert types == ["image/png", "image/png", "image/png", "text/csv", "text/plain"]
        assert body.media[2][0].filename == "big.png"  # type: ignore[union-attr]


async def test_data_uris_in_messages_stay_in_the_json(read: Reader) -> None:
    parts = [{"type": "image_url", "image_url": {"url": uri(BIG)}}]
    body = await read(json.dumps({"messages": [{"role": "user", "content": parts}]}).encode())
    assert body.members["messages"][0]["content"] == parts
    assert body.media is None


async def test_an_empty_list_of_media_is_no_error(read: Reader) -> None:
    assert (await read(b'{"media":[]}')).media == []


async def test_half_a_surrogate_pair_becomes_the_replacement_character(read: Reader) -> None:
    body = await read(rb'{"a\ud83d":"\ude00x\ud83d","b":"\ud83d\ude00 \\ud83d \n","c":"\uD83D\ud83d\ude00"}')
    assert body.members == {"a\ufffd": "\ufffdx\ufffd", "b": "😀 \\ud83d \n", "c": "\ufffd😀"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"{}"',
        b"{}{}",
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
        rb'{"a":"\ud83"}',
        rb'{"a":"\ud83d\x"}',
        b'{"a":"\\',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
        b'{"media":[["' + uri(BIG).encode(),
    ],
)
async def test_what_is_no_json_object_is_refused_without_a_hint(read: Reader, text: bytes) -> None:
    refusal = await read.refused(text)
    assert (refusal.status, refusal.message) == (400, "Invalid JSON data")


async def test_a_depth_of_64_is_allowed(read: Reader) -> None:
    assert (await read(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")).members["a"]


@pytest.mark.parametrize("path", sorted(JSON_SUITE.glob("*.json")), ids=lambda path: path.stem)
async def test_the_json_suite_is_read_or_refused(read: Reader, path: Path) -> None:
    inner = path.read_bytes()
    accepted = []
    for text in (inner, b'{"value":' + inner + b"}"):
        outcome = await outcome_of(read(text))
        assert outcome in ((400, "Invalid JSON data"), "accepted")
        accepted.append(outcome == "accepted")
    if path.name.startswith("y_"):
        assert accepted[1]
    if path.name.startswith("n_"):
        assert accepted == [False, False]


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("x", 422),
        ({}, 422),
        (["https://example.org/"], 422),
        ([[]], 422),
        ([["https://example.org/", "a", "b"]], 422),
        ([[None, "a.png"]], 422),
        ([["/etc/passwd", "passwd"]], 422),
        ([["file:///etc/passwd", None]], 422),
        ([["cat.png", "cat.png"]], 422),
        ([["ftp://example.org/a", None]], 422),
        ([["https:///a.png", None]], 422),
        ([["https://example.org/a\r\nX: y", None]], 422),
        ([["https://example.org:99999/", None]], 422),
        ([["http://[::1/", None]], 422),
        ([["data:image/png;base64,AAA", "a.png"]], 422),
        ([["data:image/png;base64,A*AA", "a.png"]], 422),
        ([["data:image/png;base64,", "a.png"]], 422),
        ([["data:;base64,AAAA", "a.png"]], 422),
        ([["data:image/png", "a.png"]], 422),
        ([["data:text/plain," + "%41" * 500_000, "a.txt"]], 422),
        ([["data:text/plain," + "%41" * 100_000, "a.txt"]] * 4, 422),  # together as much
        ([[uri(BIG, "no type"), "a.png"]], 422),
        ([[uri(BIG)[:-1], "a.png"]], 422),
        ([[uri(BIG) + "AAAA", "a.png"]], 422),
        ([[uri(BIG).replace("A", "!"), "a.png"]], 422),
        ([[uri(PNG), 5]], 422),
        ([[uri(PNG), "a\nb.png"]], 422),
        ([[uri(PNG), "a" * 256]], 422),
        ([[uri(PNG), uri(BIG)]], 422),
        ([[uri(b"\x00\x01\x02", "application/octet-stream"), "a.unknown"]], 415),
        ([[uri(b"\x00\x01\x02", "text/plain"), None]], 415),
        ([[uri(PNG), None]] * 65, 413),
        ([[uri(BIG), None]] * 65, 413),
        ([["https://example.org/", None]] * 65, 413),
    ],
)
async def test_media_that_are_none_are_refused(read: Reader, media: Any, status: int) -> None:
    refusal = await read.refused(json.dumps({"media": media}).encode())
    assert refusal.status == status
    assert "base64,A" not in refusal.message
    assert "passwd" not in refusal.message


async def test_an_unknown_type_that_is_declared_is_kept(read: Reader) -> None:
    body = await read(json.dumps({"media": [[uri(b"\x00\x01\x02", "model/stl"), "part.stl"]]}).encode())
    assert body.media is not None
    assert body.media[0][0].media_type == "model/stl"  # type: ignore[union-attr]


async def test_of_two_lists_of_media_the_last_counts_and_neither_leaks(read: Reader) -> None:
    body = await read(f'{{"media":[["{uri(BIG)}","a"]],"media":[["{uri(BIG + b"x")}","b"]]}}'.encode())
    assert body.media is not None
    assert [name for _, name in body.media] == ["b"]
    assert content_of(body.media[0][0]) == BIG + b"x"


# --- forms ------------------------------------------------------------------------------------------------------------


async def test_a_form_brings_files_and_urls_in_place_of_the_media_of_its_json(read: Reader) -> None:
    text = json.dumps({**BODY, "media": [[uri(BIG), "old.png"]]}).encode()
    message = form(
        ('name="json"', text),
        ('name="files"; filename="/tmp/big.png"\r\nContent-Type: application/x-odd', BIG),
        ('name="media_url"', b"https://example.org/a.mp4"),
        ('name="other"', b"ignored"),
        ('name="files[]"; filename="notes.md"', b"# Notes"),
        ('name="files"; filename=""', b""),
    )
    for size in (len(message), 1, 70_000):
        blocks = (
            [message[i : i + size] for i in range(0, len(message), size)] if size > 1 else [message[:99], message[99:]]
        )
        body = await read(*blocks, kind=FORM)
        assert body.members == BODY
        assert body.media is not None
        assert [name for _, name in body.media] == ["big.png", None, "notes.md"]
        assert content_of(body.media[0][0]) == BIG
        assert body.media[1][0] == "https://example.org/a.mp4"
        assert content_of(body.media[2][0]) == b"# Notes"
        types = [item.media_type for item, _ in body.media if isinstance(item, MediaItem)]
        assert types == ["image/png", "text/markdown"]


async def test_a_form_without_files_keeps_the_media_of_its_json(read: Reader) -> None:
    text = json.dumps({"media": [[uri(BIG), "a.png"]]}).encode()
    body = await read(form(('name="json"; filename="blob"', text)), kind=FORM)
    assert body.media is not None
    assert content_of(body.media[0][0]) == BIG


async def test_an_urlencoded_form_is_read(read: Reader) -> None:
    body = await read(
        b"json=%7B%22a%22%3A1%7D&media_url=https%3A%2F%2Fexample.org%2Fa&x=y", kind=URLENCODED + ";charset=x"
    )
    assert body.members == {"a": 1}
    assert body.media == [("https://example.org/a", None)]
    assert (await read(b"json={}", kind=URLENCODED)).media is None


@pytest.mark.parametrize(
    ("message", "content_type", "status"),
    [
        (form(), FORM, 400),
        (form(('name="x"', b"y")), FORM, 400),
        (form(('name="json"', b"{}"), end=b""), FORM, 400),
        (form(('name="json"', b"[]")), FORM, 400),
        (form(('name="json"', b"{}"), ('name="json"', b"{}")), FORM, 400),
        (form(('name="json"', b"{}")), "multipart/form-data", 400),
        (form(('name="json"', b"{}")), "multipart/form-data; boundary=c", 400),
        (form(('nome="json"', b"{}")), FORM, 400),
        (PLAIN, FORM, 400),
        (b"", FORM, 400),
        (form(('name="json"', b"{}"), ('name="files"; filename="a.png"', b"")), FORM, 422),
        (form(('name="json"', b"{}"), ('name="image"; filename="a.png"', PNG)), FORM, 422),
        (form(('name="json"', b"{}"), ('name="files"; filename="a.exe"', b"MZ\x00\x01")), FORM, 415),
        (form(('name="json"', b"{}"), ('name="files"', b"\x00\x01")), FORM, 415),
        (form(('name="json"', b"{}"), ('name="media_url"', b"file:///etc/passwd")), FORM, 422),
        (form(('name="json"', b"{}"), ('name="media_url"', b"https://x/" + b"a" * 20_000)), FORM, 413),
        (form(('name="json"', b"{}"), *[('name="media_url"', b"https://x/")] * 65), FORM, 413),
        (form(('name="json"', b"{}"), *[('name="files"', b"text")] * 65), FORM, 413),
        (b"json={}&json={}", URLENCODED, 400),
        (b"a=b", URLENCODED, 400),
        (b"json=", URLENCODED, 400),
        (b"&".join([b"json={}"] * 300), URLENCODED, 400),
        (b"json={}&media_url=/etc/passwd", URLENCODED, 422),
        (b"json={}" + b"&media_url=http%3A%2F%2Fx%2F" * 65, URLENCODED, 413),
        (b"json=" + b"a" * MIB, URLENCODED, 413),
    ],
)
async def test_bad_forms_are_refused(read: Reader, message: bytes, content_type: str, status: int) -> None:
    refusal = await read.refused(message, kind=content_type)
    assert refusal.status == status
    if b"a.exe" in message or b'"a.png"' in message:
        assert "a.exe" in refusal.message or "a.png" in refusal.message  # says which file it will not take


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
async def test_encoded_bodies_are_refused_unread(read: Reader, encoding: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        await read_request(receiving(end=False), {"content-encoding": encoding})
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("length", "status"), [("1151", 413), ("9" * 5000, 413), ("-1", 400), ("", 400), ("١", 400), ("1e3", 400)]
)
async def test_a_length_over_the_cap_is_refused_unread(length: str, status: int) -> None:
    limits = BodyLimits(max_body_bytes=1000, max_media_bytes=100)
    with pytest.raises(RequestRefused) as caught:
        await read_request(receiving(end=False), {"content-length": length}, limits)
    assert caught.value.status == status


async def test_lengths_are_no_promise(read: Reader) -> None:
    caps = {"max_body_bytes": 1000, "max_media_bytes": 100, "headers": {"content-length": "10"}}
    assert (await read.refused(*[b" " * 100] * 12, **caps)).status == 413
    assert (await read.refused(b'{"a":"', *[b"x" * 99] * 11, **caps)).status == 413
    assert (await read.refused(b"[", *[b"0," * 25_000] * 41)).message.endswith("too many values")
    assert (await read(b'{"a":"' + b"x" * 992 + b'"}', **{**caps, "headers": {"content-encoding": "identity"}})).members


async def test_media_do_not_count_against_the_json_but_against_their_own_cap(read: Reader) -> None:
    text = json.dumps({"media": [[uri(BIG), "a.png"], [uri(BIG), "b.png"]]}).encode()
    body = await read(text, max_body_bytes=200, max_media_bytes=2 * len(BIG))
    assert body.media is not None
    assert len(body.media) == 2
    whole = form(('name="json"', b"{}"), ('name="files"; filename="a.png"', BIG), ('name="files"; filename="b"', BIG))
    body = await read(whole, kind=FORM, max_body_bytes=1000, max_media_bytes=2 * len(BIG))
    assert body.media is not None
    small = json.dumps({"media": [[uri(PNG), "a.png"]]}).encode()
    assert (await read.refused(small, max_media_bytes=len(PNG) - 1)).status == 413
    for message, kind in ((text, "application/json"), (whole, FORM)):
        assert (await read.refused(message, kind=kind, max_media_bytes=2 * len(BIG) - 1)).status == 413


async def test_a_form_cannot_bring_more_json_than_a_bare_body(read: Reader) -> None:
    message = form(('name="json"', json.dumps({"a": "x" * 2000}).encode()))
    assert (await read.refused(message, kind=FORM, max_body_bytes=1000)).status == 413


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_leaves_no_file(tmp_path: Path) -> None:
    limits = BodyLimits(max_memory_bytes=1, spool_directory=str(tmp_path))
    begun = f'{{"media":[["{uri(BIG)[:-4]}'.encode()
    with pytest.raises(ClientGone):
        await read_request(receiving(begun, b"A" * 4096, end=False), {}, limits)
    assert open_files(tmp_path) == []
    with pytest.raises(ClientGone):
        await read_request(receiving(end=False), {}, limits)


async def test_a_cancelled_reader_leaves_no_file(tmp_path: Path) -> None:
    limits = BodyLimits(max_memory_bytes=1, spool_directory=str(tmp_path))
    begun = receiving(f'{{"media":[["{uri(BIG)}'.encode())
    waiting = asyncio.Event()
    seen: list[str] = []

    async def receive() -> Any:
        if waiting.is_set():
            seen.extend(open_files(tmp_path))
            await asyncio.Event().wait()
        waiting.set()
        return await begun()

    task = asyncio.create_task(read_request(receive, {}, limits))
    while not seen:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen) == 1
    assert seen[0].endswith("(deleted)")
    assert open_files(tmp_path) == []


async def test_media_end_with_their_request(read: Reader) -> None:
    body = await read(json.dumps({"media": [[uri(BIG), "a.png"]]}).encode())
    assert body.media is not None
    item = body.media[0][0]
    assert isinstance(item, MediaItem)
    assert item.blocks is not None
    blocks = item.blocks()
    assert next(blocks)
    body.close()
    with pytest.raises(InvalidMediaError):
        next(blocks)


async def test_nothing_of_a_body_shows_in_its_repr(read: Reader) -> None:
    body = await read(json.dumps({"api_key": "canary", "media": [["https://canary.example/", "canary"]]}).encode())
    assert "canary" not in repr(body) + str(body)


async def test_no_room_for_media_is_said_as_such(tmp_path: Path) -> None:
    limits = BodyLimits(max_memory_bytes=1, spool_directory=str(tmp_path / "absent"))
    with pytest.raises(RequestRefused) as caught:
        await read_request(receiving(json.dumps({"media": [[uri(BIG), "a.png"]]}).encode()), {}, limits)
    assert caught.value.status == 503


# --- spools -----------------------------------------------------------------------------------------------------------


def point_at(spool: Spool, device: str, flags: int) -> None:
    """Put a device in place of the spool's file."""
    descriptor = os.open(device, flags)
    assert spool._file is not None
    os.dup2(descriptor, spool._file.fileno())
    os.close(descriptor)


def test_a_spool_keeps_little_in_memory_and_gives_all_back(tmp_path: Path) -> None:
    spool = Spool(max_memory_bytes=100, directory=tmp_path)
    for count in range(1, 101):
        spool.write(bytes([count]) * 7)
        assert spool.memory_bytes <= 207
        assert spool.overfull == (spool.memory_bytes > 100)
        assert spool.size == 7 * count
        assert spool.head(10) == (bytes([1]) * 7 + bytes([2]) * 7)[: min(10, 7 * count)]
    expected = b"".join(bytes([count]) * 7 for count in range(1, 101))
    first, second = spool.blocks(), spool.blocks()
    assert b"".join(first) == b"".join(second) == expected
    spool.flush()
    assert spool.memory_bytes == 0
    item = spool.item("image/png", "a.png")
    assert content_of(item) == expected
    assert (item.media_type, item.filename) == ("image/png", "a.png")
    [name] = open_files(tmp_path)
    assert name.endswith("(deleted)")
    assert os.fstat(spool._file.fileno()).st_mode & 0o777 == 0o600  # type: ignore[union-attr]
    spool.close()
    spool.close()
    spool.flush()
    assert open_files(tmp_path) == []


def test_a_small_spool_opens_no_file(tmp_path: Path) -> None:
    spool = Spool(directory=tmp_path)
    spool.write(PNG)
    assert content_of(spool.item("image/png")) == PNG
    assert open_files(tmp_path) == []
    spool.close()


def test_a_spool_is_capped(tmp_path: Path) -> None:
    spool = Spool(max_bytes=10, directory=tmp_path)
    spool.write(b"x" * 10)
    with pytest.raises(RequestRefused) as caught:
        spool.write(b"x")
    assert caught.value.status == 413
    spool.close()


def test_a_full_disk_and_a_failing_one_are_told_apart_from_a_bug(tmp_path: Path) -> None:
    spool = Spool(max_memory_bytes=1, directory=tmp_path)
    spool.write(BIG)
    point_at(spool, "/dev/full", os.O_WRONLY)
    with pytest.raises(RequestRefused) as caught:
        spool.write(BIG)
    assert caught.value.status == 503
    with pytest.raises(InvalidMediaError, match="cannot be read back"):
        list(spool.blocks())
    spool.close()


# --- memory and rubbish -----------------------------------------------------------------------------------------------


def sent_in_blocks(begin: bytes, block: bytes, count: int, end: bytes) -> Callable[[], Any]:
    blocks = iter([begin, *[block] * count, end])

    async def receive() -> MutableMapping[str, Any]:
        data = next(blocks)
        return {"type": "http.request", "body": data, "more_body": data is not end}

    return receive


@pytest.mark.parametrize("kind", ["json", "form"])
async def test_memory_does_not_grow_with_the_media(tmp_path: Path, kind: str) -> None:
    limits = BodyLimits(spool_directory=str(tmp_path))
    raw = PNG + bytes(48 * 1024 - len(PNG))
    if kind == "json":
        block, begin, end = base64.b64encode(raw), b'{"media":[["data:image/png;base64,', b'","a.png"]],"n":1}'
        headers = {}
    else:
        block, begin, end = raw, form(('name="json"', b'{"n":1}'), end=b""), b"\r\n--b--\r\n"
        begin += b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        headers = {"content-type": FORM}
    count = 64 * MIB // len(raw)
    receive = sent_in_blocks(begin, block, count, end)
    await read_request(receiving(PLAIN), {})
    tracemalloc.start()
    try:
        body = await read_request(receive, headers, limits)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
        assert body.media is not None
        item = body.media[0][0]
        assert isinstance(item, MediaItem)
        assert item.blocks is not None
        digest = hashlib.sha256()
        for part in item.blocks():
            digest.update(part)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert digest.hexdigest() == hashlib.sha256(raw * count).hexdigest()
    body.close()
    assert open_files(tmp_path) == []


tokens = st.sampled_from(
    [
        b"--b\r\n",
        b"\r\n--b--",
        b'Content-Disposition: form-data; name="json"\r\n\r\n',
        b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n',
        b'Content-Disposition: form-data; name="media_url"\r\n\r\n',
        b"{}",
        b'{"media":[["data:image/png;base64,',
        b'{"media":[["https://x/',
        base64.b64encode(PNG),
        b'","\\ud83d"]]}',
        b'"',
        b"json=",
        b"&media_url=http://x/",
        b"\\",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(tokens | st.binary(max_size=8), max_size=12),
    st.sampled_from(["application/json", FORM, URLENCODED, "multipart/form-data; boundary"]),
    st.dictionaries(st.sampled_from(["content-length", "content-encoding"]), st.text(max_size=8), max_size=1),
)
def test_rubbish_is_read_or_refused(blocks: list[bytes], content_type: str, headers: dict[str, str]) -> None:
    reading = read_request(receiving(*blocks), {"content-type": content_type, **headers})
    outcome = asyncio.run(outcome_of(reading))
    assert outcome == "accepted" or (isinstance(outcome, tuple) and 400 <= outcome[0] < 500)


# --- on a socket ------------------------------------------------------------------------------------------------------


def digesting(journal: Journal) -> Any:
    """Make a provider that says what media it got."""

    async def generate(model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any) -> Any:
        journal.note("asked")
        for item, filename in media:
            if isinstance(item, str):
                yield f"{filename} {item}\n"
            else:
                yield f"{filename} {item.media_type} {hashlib.sha256(content_of(item)).hexdigest()}\n"

    return provider_of(generate)


def text_of(events: list[dict[str, Any]]) -> list[str]:
    return "".join(event["content"] for event in events if event["type"] == "content").splitlines()


LARGE = PNG + bytes(range(256)) * 4096 * 3
LARGE_LINE = f"a.png image/png {hashlib.sha256(LARGE).hexdigest()}"
MESSAGES = [{"role": "user", "content": "Hi"}]


async def test_media_reach_the_provider_whole_over_a_socket(tmp_path: Path) -> None:
    limits = BodyLimits(spool_directory=str(tmp_path))
    members = {"model": "", "messages": MESSAGES, "media": [[uri(LARGE), "a.png"], ["https://example.org/b", "b"]]}
    async with running(app=create_app([digesting(Journal())], Settings(keys_file=None, limits=limits))) as server:
        answer = await server.converse(members)
        assert text_of(answer.events()) == [LARGE_LINE, "b https://example.org/b"]
        assert open_files(tmp_path) == []


async def test_a_form_of_another_library_reaches_the_provider_over_a_socket(tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    limits = BodyLimits(spool_directory=str(spools))
    picture = tmp_path / "a.png"
    picture.write_bytes(LARGE)
    async with running(app=create_app([digesting(Journal())], Settings(keys_file=None, limits=limits))) as server:
        with picture.open("rb") as file:
            fields = aiohttp.FormData()
            fields.add_field("json", json.dumps({"model": "", "messages": MESSAGES}), content_type="application/json")
            fields.add_field("files", file, filename="a.png", content_type="image/png")
            fields.add_field("media_url", "https://example.org/b")
            async with (
                aiohttp.ClientSession() as session,
                session.post(server.url + CONVERSATION, data=fields) as response,
            ):
                received = await response.text()
        events = [json.loads(line[6:]) for line in received.splitlines() if line.startswith("data: ")]
        assert text_of(events) == [LARGE_LINE, "None https://example.org/b"]
        assert open_files(spools) == []


async def test_a_client_that_leaves_in_the_middle_of_its_media_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal()
    limits = BodyLimits(spool_directory=str(tmp_path))
    async with running(app=create_app([digesting(journal)], Settings(keys_file=None, limits=limits))) as server:
        raw = head_and_body("POST", CONVERSATION, {"messages": MESSAGES, "media": [[uri(LARGE), "a.png"]]})
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw[:-1000])
        await writer.drain()
        async with asyncio.timeout(20):  # a guard against hanging, not a measure
            while not open_files(tmp_path):
                await asyncio.sleep(0)
            writer.transport.abort()
            await close(writer)
            while open_files(tmp_path):
                await asyncio.sleep(0)
        assert (await server.converse({"messages": MESSAGES, "media": []})).status == 200
    assert journal.entries == ["asked"]


async def test_too_much_is_refused_over_a_socket_before_the_provider_is_asked() -> None:
    journal = Journal()
    limits = BodyLimits(max_body_bytes=1000, max_media_bytes=1000)
    async with running(app=create_app([digesting(journal)], Settings(keys_file=None, limits=limits))) as server:
        for members in ({"media": [[uri(LARGE), "a.png"]]}, {"prompt": "x" * 2000}):
            answer = await server.converse(members)
            assert answer.status == 413
            assert "limit" in answer.message
        assert (await server.converse(b"{")).message == "Invalid JSON data"
    assert journal.entries == []
