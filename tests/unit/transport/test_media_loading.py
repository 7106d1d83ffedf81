"""What a caller may attach, over real files, pipes and pictures; and what is refused, in words that show no content."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from backstream.errors import InvalidMediaError
from backstream.media import DataURISegment, MediaItem, decode_data_uri, encode_data_uri, pixel_size
from backstream.transport.media import load_media, to_data_uri
from support_media import SAMPLES, picture

PNG = picture("PNG")


def read(item: MediaItem) -> bytes:
    assert item.blocks is not None
    return b"".join(item.blocks())


def open_files() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    }


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


def test_no_media_is_an_empty_list():
    assert load_media(None) == []
    assert load_media([]) == []


@pytest.mark.parametrize(("name", "data", "media_type"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_every_format_as_a_file(tmp_path, name, data, media_type):
    path = tmp_path / name
    path.write_bytes(data)
    (item,) = load_media([path])
    assert (item.media_type, item.filename, item.size, item.replayable) == (media_type, name, len(data), True)
    assert read(item) == data
    assert read(item) == data


class Named(os.PathLike):
    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self):
        return self.path


def test_everything_that_has_bytes(png):
    with png.open("rb") as file, png.open("rb", buffering=0) as raw:
        media = [
            png,
            Named(str(png)),
            Named(os.fsencode(png)),
            PNG,
            bytearray(PNG),
            memoryview(PNG),
            memoryview(PNG[::-1])[::-1],
            file,
            raw,
            io.BytesIO(PNG),
            encode_data_uri(PNG, "image/png"),
        ]
        items = load_media(media)
        assert [item.media_type for item in items] == ["image/png"] * len(media)
        assert [item.size for item in items] == [len(PNG)] * len(media)
        assert [read(item) for item in items] == [PNG] * len(media)
        assert [item.filename for item in items] == ["cat.png"] * 3 + [None] * 4 + ["cat.png"] * 2 + [None] * 2
        assert {to_data_uri(item) for item in media} == {encode_data_uri(PNG, "image/png")}
        assert not file.closed


def test_the_ways_to_write_an_item(png):
    media = [
        png,
        (png,),
        [png],
        (png, None),
        (png, "dog.png"),
        [png, "x/../dog.png"],
        (PNG, "C:\\dog.png"),
        (PNG, ".."),
    ]
    before = copy.copy(media), copy.copy(media[5])
    items = load_media(media)
    assert [item.filename for item in items] == ["cat.png"] * 4 + ["dog.png"] * 3 + [None]
    assert (media, media[5]) == before
    assert [item.filename for item in load_media(((png, "a.png"), (png, "b.png")))] == ["a.png", "b.png"]


def test_urls_are_passed_on():
    items = load_media(["https://example.com/a.png?x=1", ("HTTP://[::1]:8080/", "a.png")])
    assert [(item.url, item.media_type, item.filename) for item in items] == [
        ("https://example.com/a.png?x=1", "", None),
        ("HTTP://[::1]:8080/", "", "a.png"),
    ]
    assert all(item.blocks is None for item in items)
    assert to_data_uri("https://example.com/a.png") == "https://example.com/a.png"


def test_data_uris_keep_their_type_and_come_back_unchanged():
    uri = "data:IMAGE/png;base64,iVBO Rw0K"
    assert load_media([uri])[0].media_type == "image/png"
    assert to_data_uri(uri) == uri
    octets = encode_data_uri(PNG, "application/octet-stream")
    assert load_media([octets])[0].media_type == "image/png"
    assert (
        load_media([encode_data_uri(b"\x00\x01", "application/octet-stream")])[0].media_type
        == "application/octet-stream"
    )


@pytest.mark.parametrize(
    "text",
    ["cat.png", "/etc/passwd", "file:///etc/passwd", "", "http:/a", "http://", "https://a b/", "http://a/\n",
     "ftp://a/b.png", "https://a\\b/"],
)  # fmt: skip
def test_a_plain_string_is_never_opened(text, png, monkeypatch):
    monkeypatch.chdir(png.parent)
    for call in (lambda: load_media([text]), lambda: to_data_uri(text)):
        with pytest.raises(InvalidMediaError, match=r"Path\(") as caught:
            call()
        assert not text or text not in str(caught.value)


@pytest.mark.parametrize("media", ["https://a/b.png", b"x", bytearray(b"x"), {"a": 1}, Path("x"), 7, {b"x"}])
def test_media_must_be_a_list(media):
    with pytest.raises(InvalidMediaError, match=f"media is a {type(media).__name__}"):
        load_media(media)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ((), "a tuple of 0"),
        ([b"x", "y", "z"], "a list of 3"),
        ((PNG, 7), "file name is a int"),
        ((PNG, "a\r\nb.png"), "line end or control character"),
        ((PNG, "a\0.png"), "line end or control character"),
        (None, "a NoneType is no media"),
        (7, "a int is no media"),
        (b"", "it is empty"),
        (io.BytesIO(), "the file is empty"),
        ("data:,", "it is empty"),
        ("data:image/png;base64,!", "base64"),
        ("data:image/png", "comma"),
        ("data:†/†,x", "media type"),
        (b"\x00\x01\x02", "its type is unknown"),
        ((b"\x00\x01\x02", "a.xyz"), "the type of 'a.xyz' is unknown"),
        (io.StringIO("canary"), "open as text"),
        (b"x" * 101, "101 bytes are over the limit of 100 bytes"),
        (io.BytesIO(b"x" * 101), "101 bytes are over the limit of 100 bytes"),
        ("data:a/b," + "x" * 101, "101 bytes are over the limit of 100 bytes"),
    ],
)
def test_what_is_refused_says_which_and_why(entry, problem):
    with pytest.raises(InvalidMediaError, match=r"^media\[1\]: ") as caught:
        load_media([b"fine", entry], max_item_bytes=100)
    assert problem in str(caught.value)
    assert caught.value.index == 1
    assert "\n" not in str(caught.value)


def test_paths_that_cannot_be_sent(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "odd\nname.png").write_bytes(PNG)
    (tmp_path / "large.txt").write_bytes(b"x" * 101)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for name, problem in [
            ("none.png", "there is no file 'none.png'; check the path"),
            (".", "is a directory"),
            ("empty.png", "'empty.png' is empty"),
            ("socket.png", "'socket.png' cannot be read: "),
            ("odd\nname.png", "control character"),
            ("a\0b.png", "control character"),
            ("a\0b/c.png", "'c.png' cannot be read"),
            ("large.txt", "101 bytes are over the limit of 100 bytes"),
        ]:
            with pytest.raises(InvalidMediaError) as caught:
                load_media([tmp_path / name], max_item_bytes=100)
            assert problem in str(caught.value)
            assert str(tmp_path) not in str(caught.value)
    (item,) = load_media([(tmp_path / "odd\nname.png", "odd.png")])
    assert (item.filename, read(item)) == ("odd.png", PNG)
    assert str(tmp_path) not in "".join(open_files())


def test_a_name_that_is_no_unicode_is_made_so(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write(PNG)
    assert load_media([Path(os.fsdecode(path))])[0].filename == "caf?.png"


@pytest.mark.parametrize("new", [b"", PNG[:50], PNG + b"more"])
def test_a_file_that_changes_before_it_is_sent(png, new):
    (item,) = load_media([png])
    png.write_bytes(new)
    with pytest.raises(InvalidMediaError, match="announced"):
        list(DataURISegment(item).blocks())


def test_a_file_that_vanishes_before_it_is_sent(png):
    (item,) = load_media([png])
    png.unlink()
    with pytest.raises(InvalidMediaError, match="no file"):
        read(item)


def test_a_buffer_may_be_changed_after_the_call():
    buffer = bytearray(PNG)
    (item,) = load_media([buffer])
    buffer[:] = b"gone"
    assert read(item) == PNG


def test_a_file_is_sent_from_its_start_wherever_it_stands(png):
    with png.open("rb") as file:
        file.seek(40)
        first, second = load_media([file, (file, "again.png")])
        assert [
            b"".join(pair)
            for pair in zip(*[(a, b) for a, b in zip(first.blocks(), second.blocks(), strict=True)], strict=True)
        ] == [PNG, PNG]
        blocks = first.blocks()
    with pytest.raises(InvalidMediaError, match=r"'cat\.png' cannot be read"):
        next(blocks)
    with pytest.raises(InvalidMediaError, match="cannot be read"):
        load_media([file])


def test_two_reads_of_one_large_file_do_not_disturb_each_other():
    data = b"a" * 60000 + b"b" * 60000
    file = io.BytesIO(data)
    first, second = load_media([(file, "a.txt"), (file, "b.txt")])
    pairs = list(zip(first.blocks(), second.blocks(), strict=True))
    assert b"".join(pair[0] for pair in pairs) == b"".join(pair[1] for pair in pairs) == data


class Trickle:
    """A source without seek that gives a few bytes at a time, as a network stream does."""

    def __init__(self, data: object, step: int = 7) -> None:
        self.data = data
        self.step = step

    def read(self, size: int) -> object:
        if not isinstance(self.data, bytes):
            return self.data
        block, self.data = self.data[: min(self.step, size)], self.data[min(self.step, size) :]
        return block


def test_a_source_that_cannot_seek_is_read_once():
    (item,) = load_media([(Trickle(PNG), "a.png")])
    assert (item.media_type, item.size, item.replayable, item.filename) == ("image/png", None, False, "a.png")
    assert read(item) == PNG
    with pytest.raises(InvalidMediaError, match="only once"):
        read(item)


def test_an_open_pipe_is_read_once_and_stays_open():
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        with open(writer, "wb") as end:
            end.write(PNG)
        (item,) = load_media([file])
        assert (item.size, item.replayable, item.filename) == (None, False, None)
        assert read(item) == PNG
        assert not file.closed


def test_the_cap_holds_while_a_source_of_unknown_size_is_sent():
    (item,) = load_media([Trickle(b"text" * 5000)], max_item_bytes=10000)
    with pytest.raises(InvalidMediaError, match="limit of 10000 bytes"):
        read(item)


@pytest.mark.parametrize(("gives", "problem"), [(None, "no bytes"), ("canary", "open as text"), (7, "no bytes")])
def test_what_only_looks_like_a_file(gives, problem):
    with pytest.raises(InvalidMediaError, match=problem) as caught:
        load_media([Trickle(gives)])
    assert "canary" not in str(caught.value)


def test_a_text_file_with_a_wrapper_around_it(tmp_path):
    class Wrapper:
        def __init__(self, file: object) -> None:
            self.read, self.seek, self.tell = file.read, file.seek, file.tell

    with (tmp_path / "a.txt").open("w+") as file:
        file.write("words")
        for item in (file, Wrapper(file)):
            with pytest.raises(InvalidMediaError, match="open as text"):
                load_media([item])


def pipe(path: Path, data: bytes) -> threading.Thread:
    os.mkfifo(path)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):  # some tests leave early
            path.write_bytes(data)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("data", [PNG, PNG + bytes(200_000)])
def test_a_named_pipe(tmp_path, data):
    writer = pipe(tmp_path / "camera.png", data)
    (item,) = load_media([tmp_path / "camera.png"])
    assert (item.media_type, item.size, item.replayable, item.filename) == ("image/png", None, False, "camera.png")
    assert decode_data_uri(b"".join(DataURISegment(item).blocks()).decode()).data == data
    writer.join()
    assert str(tmp_path / "camera.png") not in open_files()


@pytest.mark.parametrize("blocks_taken", [None, 0, 1])
def test_a_pipe_that_is_not_read_to_its_end_is_closed(tmp_path, blocks_taken):
    writer = pipe(tmp_path / "camera.png", PNG + bytes(200_000))
    (item,) = load_media([tmp_path / "camera.png"])
    if blocks_taken is not None:
        blocks = item.blocks()
        for _ in range(blocks_taken):
            next(blocks)
        blocks.close()
        del blocks
    del item
    gc.collect()
    writer.join(timeout=5)  # its own end of the pipe is closed too, now
    assert str(tmp_path / "camera.png") not in open_files()


def test_a_pipe_of_unknown_type_is_closed(tmp_path):
    writer = pipe(tmp_path / "noise", b"\x00\x01" * 3000)
    with pytest.raises(InvalidMediaError, match="type of 'noise' is unknown"):
        load_media([tmp_path / "noise"])
    writer.join(timeout=5)  # its own end of the pipe is closed too, now
    assert str(tmp_path / "noise") not in open_files()


def test_leaving_early_closes_a_file(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"x" * 200_000)
    blocks = DataURISegment(load_media([path])[0]).blocks()
    next(blocks), next(blocks)
    assert str(path) in open_files()
    blocks.close()
    assert str(path) not in open_files()


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="/proc is a Linux thing")
def test_a_file_whose_size_is_told_as_nothing():
    (item,) = load_media([(Path("/proc/version"), "version.txt")])
    assert item.size is None
    assert read(item) == Path("/proc/version").read_bytes()


@pytest.mark.parametrize("by", ["Path('/dev/stdin')", "sys.stdin.buffer"])
@pytest.mark.parametrize("piped", [True, False])
def test_standard_input(by, piped, png):
    code = (
        "import sys\nfrom pathlib import Path\nfrom backstream.transport.media import to_data_uri\n"
        f"print(to_data_uri({by}), end='')"
    )
    with png.open("rb") as file:
        source = {"input": PNG} if piped else {"stdin": file}
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], **source, capture_output=True, check=True)
    assert done.stdout.decode() == encode_data_uri(PNG, "image/png")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp"), ("BMP", "image/bmp"),
     ("TIFF", "image/tiff"), ("ICO", "image/png")],
)  # fmt: skip
def test_pictures_that_were_read_keep_their_format(kind, media_type):
    with Image.open(io.BytesIO(picture(kind, (32, 32)))) as opened:
        (item,) = load_media([opened])
    assert item.media_type == media_type
    with Image.open(io.BytesIO(read(item))) as again:
        assert again.size == (32, 32)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pictures_made_in_memory_become_png(mode):
    (item,) = load_media([(Image.new(mode, (40, 30)), "drawn.png")])
    assert (item.media_type, item.filename) == ("image/png", "drawn.png")
    assert pixel_size(read(item)) == (40, 30)


def test_a_jpeg_is_not_made_worse():
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    target = io.BytesIO()
    noise.save(target, "JPEG", quality=30)
    with Image.open(io.BytesIO(target.getvalue())) as opened:
        (item,) = load_media([opened])
    with Image.open(io.BytesIO(target.getvalue())) as one, Image.open(io.BytesIO(read(item))) as other:
        assert one.quantization == other.quantization


def test_a_moving_picture_keeps_moving():
    target = io.BytesIO()
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 100, 200)]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(target.getvalue())) as opened:
        (item,) = load_media([opened])
    with Image.open(io.BytesIO(read(item))) as again:
        assert again.n_frames == 3


def test_a_picture_that_cannot_be_written():
    with pytest.raises(InvalidMediaError, match="Pillow cannot write this picture"):
        load_media([Image.new("RGB", (0, 0))])


def test_pillow_is_not_imported():
    code = (
        "import sys\nfrom backstream.transport.media import load_media\n"
        "load_media([b'text', (b'x', 'a.png')])\nassert not [name for name in sys.modules if name.startswith('PIL')]\n"
        "try: load_media([object()])\nexcept ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.startswith("media[0]: a object is no media")


def test_a_file_of_64_megabytes_is_sent_in_little_memory(tmp_path):
    path = tmp_path / "film.mp4"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        (item,) = load_media([path])
        segment = DataURISegment(item)
        size = sum(map(len, segment.blocks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (item.media_type, item.size, size) == ("video/mp4", 64 * 2**20, segment.size)
    assert peak < 2 * 2**20
