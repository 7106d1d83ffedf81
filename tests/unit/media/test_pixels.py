"""How large a picture is, from its header."""

from __future__ import annotations

import struct

import pytest

from backstream.media import pixel_size
from support_media import picture


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\x00\x00" + bytes(40000)}),
        ("GIF", {"mode": "P"}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"mode": "RGBA"}),
        ("WEBP", {"exif": b"Exif\x00\x00II*\x00" + bytes(8)}),
        ("BMP", {}),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (33, 21), (640, 400), (300, 4097)])
def test_pictures_written_by_another_program(kind, options, size):
    data = picture(kind, size, **options)
    assert pixel_size(data) == size
    assert pixel_size(data[: 64 * 1024]) == size


def bmp(header: int, width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<I" + ("HH" if header == 12 else "ii"), header, width, height)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (bmp(12, 7, 5), (7, 5)),
        (bmp(40, 7, -5), (7, 5)),
        (bmp(40, -7, 5), None),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\x04CgBI\x50\x00\x20\x02crc!\x00\x00\x00\x0dIHDR" + struct.pack(">II", 7, 5),
            (7, 5),
        ),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + bytes(8), None),
        (b"\x89PNG\r\n\x1a\n" + bytes(80), None),
        (b"\xff\xd8\xff\xff\x01\xff\xd0\xff\xc0\x00\x11\x08\x00\x05\x00\x07", (7, 5)),
        (b"\xff\xd8\xff\xe0\x00\x02\x00", None),
        (b"\xff\xd8\xff\xe0\x00\x00\xff\xc2\x00\x11\x08\x00\x05\x00\x07", (7, 5)),
        (b"\xff\xd8\xff", None),
        (b"RIFF\x04\x00\x00\x00WAVE", None),
        (b"RIFF\x04\x00\x00\x00WEBPVP8?" + bytes(40), None),
        (b"RIFF\x04\x00\x00\x00WEBPVP8L" + bytes(40), None),
        (b"RIFF\x04\x00\x00\x00WEBPVP8L", None),
        (b"RIFF\x04\x00\x00\x00WEBPVP8 " + bytes(40), None),
        (b"GIF89a", None),
        (b"", None),
        (b"no picture", None),
    ],
)
def test_odd_headers_and_rubbish(data, size):
    assert pixel_size(data) == size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_every_cut_of_a_head_gives_the_size_or_nothing(kind):
    data = picture(kind, mode="P" if kind == "GIF" else "RGB")
    answers = [pixel_size(data[:end]) for end in range(len(data))]
    assert set(answers) == {None, (33, 21)}
    assert answers == sorted(answers, key=bool)
