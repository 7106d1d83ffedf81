"""Forms as they are sent: byte for byte, escaped, and never whole in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from backstream.errors import ConfigurationError, InvalidMediaError
from backstream.media import MediaItem
from backstream.wire.form import FileSegment, FormFile, render_form
from backstream.wire.http import Body, Segment
from backstream.wire.multipart import MultipartDecoder, PartBegin, PartData, PartEnd


def joined(body: Body) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in body)


def item(*blocks: bytes, size: int | None = None, media_type: str = "audio/wav") -> MediaItem:
    return MediaItem(media_type, size=size, blocks=lambda: iter(blocks))


def test_a_form_byte_for_byte() -> None:
    file = FormFile(name="file", filename="a.wav", content_type="audio/wav", content=FileSegment(item(b"RI", b"F")))
    assert joined(render_form([("model", "whisper-1")], [file], "b0")) == (
        b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b0\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\nRIF\r\n"
        b"--b0--\r\n"
    )


def test_a_form_without_parts_is_its_end() -> None:
    assert joined(render_form([], [], "b")) == b"--b--\r\n"


def test_files_are_pieces_of_their_own() -> None:
    segment = FileSegment(item(b"1", size=1))
    files = [FormFile(name=name, filename=name, content_type="image/png", content=segment) for name in ("a", "b")]
    body = render_form([], files, "x")
    assert [isinstance(piece, Segment) for piece in body] == [False, True, False, True, False]
    decoder = MultipartDecoder(b"x")
    events = decoder.feed(joined(body))
    decoder.finish()
    assert events == [
        event for name in "ab" for event in (PartBegin(name, name, "image/png"), PartData(b"1"), PartEnd())
    ]


def test_the_content_of_a_file_may_be_bytes() -> None:
    file = FormFile(name="f", filename="f", content_type="text/plain", content=b"abc")
    assert b"\r\n\r\nabc\r\n--b--\r\n" in joined(render_form([], [file], "b"))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('a"b', b'"a%22b"'),
        ("a\r\nSet-Cookie: b", b'"a%0D%0ASet-Cookie: b"'),
        ("a\\b", b'"a\\b"'),
        ("grüße.png", '"grüße.png"'.encode()),
        ("\ud83d", '"�"'.encode()),
    ],
)
def test_names_cannot_leave_their_quotes(name: str, written: bytes) -> None:
    file = FormFile(name=name, filename=name, content_type="image/png", content=b"")
    body = joined(render_form([(name, "v")], [file], "b"))
    assert body.count(b"name=" + written) == 3  # of the field, of the file, and its file name


@pytest.mark.parametrize("value", ["line\nline\r\nline", "--b", 'quote"', "", "ü\u2028"])
def test_values_go_out_as_they_are(value: str) -> None:
    assert b'name="p"\r\n\r\n' + value.encode() + b"\r\n--b--" in joined(render_form([("p", value)], [], "b"))


def test_halves_of_a_character_are_replaced_in_values() -> None:
    assert "\r\n\r\na�\r\n".encode() in joined(render_form([("p", "a\udc00")], [], "b"))


@pytest.mark.parametrize("boundary", ["", "a\r\nb", 'a"b', "x" * 71, "ü"])
def test_a_boundary_that_none_may_be_is_refused(boundary: str) -> None:
    with pytest.raises(ConfigurationError, match="boundary"):
        render_form([], [], boundary)


@pytest.mark.parametrize("content_type", ["audio/wav\r\nX: y", "ü"])
def test_a_content_type_that_could_end_its_line_is_refused(content_type: str) -> None:
    with pytest.raises(ConfigurationError, match="content type"):
        render_form([], [FormFile(name="f", filename="f", content_type=content_type, content=b"")], "b")


def test_a_url_has_no_bytes_to_send() -> None:
    with pytest.raises(InvalidMediaError, match="URL"):
        FileSegment(MediaItem("", url="https://example.org/a.png"))


def test_what_a_segment_knows_of_its_item() -> None:
    segment = FileSegment(MediaItem("audio/wav", size=3, blocks=lambda: iter((b"abc",)), replayable=False))
    assert isinstance(segment, Segment)
    assert (segment.size, segment.replayable) == (3, False)
    assert repr(segment) == "<FileSegment <MediaItem audio/wav, 3 bytes>>"
    assert FileSegment(item()).size is None
    assert repr(FormFile(name="n", filename="secret", content_type="t/t", content=b"")) == "<FormFile t/t>"


def test_large_blocks_are_cut() -> None:
    sizes = [len(block) for block in FileSegment(item(b"x" * 150_000, b"y")).blocks()]
    assert sizes == [65536, 65536, 18928, 1]


@pytest.mark.parametrize(("blocks", "size"), [((b"abc",), 2), ((b"a", b"b"), 1), ((b"a",), 2), ((), 1)])
def test_a_file_that_changes_is_noticed(blocks: tuple[bytes, ...], size: int) -> None:
    with pytest.raises(InvalidMediaError, match="bytes announced"):
        list(FileSegment(item(*blocks, size=size)).blocks())


def test_a_source_is_closed_when_sending_stops_half_way() -> None:
    closed: list[bool] = []

    def source() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    blocks = FileSegment(MediaItem("audio/wav", size=2, blocks=source)).blocks()
    assert next(blocks) == b"a"
    blocks.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_memory_does_not_depend_on_the_size_of_a_file() -> None:
    block = bytes(49152)
    segment = FileSegment(
        MediaItem("audio/wav", size=len(block) * 1024, blocks=lambda: iter(block for _ in range(1024)))
    )
    file = FormFile(name="file", filename="a.wav", content_type="audio/wav", content=segment)
    tracemalloc.start()
    try:
        seen = sum(
            len(block)
            for piece in render_form([], [file], "b")
            for block in ([piece] if isinstance(piece, bytes) else piece.blocks())
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen > 48 * 1024 * 1024
    assert peak < 1024 * 1024
