"""What bytes are: real files, the standard's own rows, every format of the table, and what must not be guessed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from backstream.media import extension_of, media_type_of, sniff
from backstream.media.names import base_name, is_textual
from support_media import SAMPLES, SVG, adts, ebml, ftyp, id3, mpeg_frame, ogg, riff

VECTORS = Path(__file__).parents[2] / "data" / "wpt-mimesniff"
ROWS = json.loads((VECTORS / "sniff-cases.json").read_text("utf-8"))

# The standard's name → the one back-ends document; None: no media, so its kind is not looked for.
NAMES = {
    "audio/wave": "audio/wav",
    "application/ogg": "audio/ogg",
    "application/octet-stream": None,
    "application/zip": None,
    "application/x-gzip": None,
    "application/x-rar-compressed": None,
}


def row_id(row: dict[str, str]) -> str:
    return f"{row['bytes_b64'][:16]}-{row['essence']}"


@pytest.mark.parametrize("row", [row for row in ROWS if row["options"] is None], ids=row_id)
def test_rows_of_the_standard_without_a_declared_type(row):
    data = base64.b64decode(row["bytes_b64"])
    if row["essence"] == "application/postscript":
        assert sniff(data) == "text/plain"  # no media: what it looks like is enough
    else:
        assert sniff(data) == NAMES.get(row["essence"], row["essence"])


DECLARED = [
    row
    for row in ROWS
    if row["options"]
    and isinstance(declared := (row["options"].get("contentTypeHeader") or row["options"].get("providedType")), str)
    and declared.startswith(("image/", "audio/", "video/"))
    and declared != "image/svg+xml"
]
# In these rows the standard trusts the header. A name never outdoes a signature here.
HEADER_WINS = {("iVBORw0KGgo=", "image/webp"): "image/png", ("T2dnUwA=", "audio/wav"): "audio/ogg"}


@pytest.mark.parametrize("row", DECLARED, ids=row_id)
def test_rows_of_the_standard_with_a_declared_media_type(row):
    declared = row["options"].get("contentTypeHeader") or row["options"].get("providedType")
    extension = extension_of(declared) or ".unknown"
    expected = HEADER_WINS.get((row["bytes_b64"], declared), row["essence"])
    assert sniff(base64.b64decode(row["bytes_b64"]), "x" + extension) == expected


def test_the_rows_with_a_declared_media_type_are_all_there():
    assert len(DECLARED) == 13


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("flac.flac", "audio/flac"),
        ("mp3-raw.mp3", "audio/mpeg"),
        ("mp3-with-id3.mp3", "audio/mpeg"),
        ("mp4.mp4", "video/mp4"),
        ("ogg.ogg", "audio/ogg"),
        ("wav.wav", "audio/wav"),
        ("webm.webm", "video/webm"),
    ],
)
def test_real_files(name, media_type):
    assert sniff((VECTORS / "media" / name).read_bytes()) == media_type


@pytest.mark.parametrize(("name", "data", "media_type"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_every_format_by_its_bytes_alone_and_by_its_name_alone(name, data, media_type):
    assert sniff(data) == media_type
    assert sniff(data, "misleading.png" if media_type != "image/png" else "misleading.gif") in (
        {media_type} if media_type != "text/plain" else {"image/png"}
    )
    assert media_type_of(name) == media_type
    assert sniff(b"\x00\x01\x02\x03" if not is_textual(media_type) else b"", name) == media_type


def test_nothing_past_the_first_4_kib_counts():
    assert sniff(b" " * 4096 + b"\x00") == "text/plain"
    assert sniff(b" " * 4095 + b"\x00") is None
    assert sniff(b"a" * 4095 + "é".encode()) == "text/plain"


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (ftyp(b"isom", b"mp42"), "song.m4a", "audio/mp4"),
        (ftyp(b"isom", b"mp42"), "clip.mov", "video/mp4"),
        (ebml(b"webm"), "song.weba", "audio/webm"),
        (ebml(b"matroska"), "song.mka", "audio/x-matroska"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "song.wma", "audio/x-ms-wma"),
        (id3(b"", b"\x00" * 5000), "song.flac", "audio/flac"),
        (ftyp(b"mif1", b"mif1"), "photo.heic", "image/heic"),
        (ftyp(b"mif1", b"mif1"), None, "image/heif"),
        (ftyp(b"mif1", b"mif1", b"avif"), None, "image/avif"),
        (ftyp(b"zzzz", b"yyyy"), None, None),
        (ftyp(b"zzzz", b"yyyy"), "clip.mp4", "video/mp4"),
        (b"\xff\xd8\xff\xe0", "photo.PNG", "image/jpeg"),
    ],
)
def test_a_name_only_adds_what_the_bytes_leave_open(data, name, media_type):
    assert sniff(data, name) == media_type


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"# Title\n", "README.md", "text/markdown"),
        (b"a,b\n1,2\n", "table.csv", "text/csv"),
        (b'{"a": 1}', "x.json", "application/json"),
        (b'{"a": 1}', None, "text/plain"),
        (b"<html>about html", "notes.txt", "text/plain"),
        (b"<html>404", "cat.png", "text/html"),
        (SVG, "x.xml", "image/svg+xml"),
        (b'\xef\xbb\xbf<!DOCTYPE svg PUBLIC "a">\n<svg:svg xmlns:svg="x">', None, "image/svg+xml"),
        (b"<!-- never ends", "x.svg", "image/svg+xml"),
        (b"<svgx>", None, "text/plain"),
        (b"\xfe\xff\x00H\x00i", "x.txt", "text/plain"),
        (b"\xff\xfeH\x00i\x00", None, "text/plain"),
        (b"caf\xe9", "x.txt", "text/plain"),
        (b"caf\xe9", None, None),
        (b"caf\xe9", "x.mp4", "video/mp4"),
        (b"text\x00", "x.txt", None),
        (b"BMW makes cars", None, "text/plain"),
        (b"ID3 tags are old", None, "text/plain"),
        (b"the moov atom", None, "text/plain"),
        (b"RIFF raff, the text", None, "text/plain"),
        (b"GGG" * 200, None, "text/plain"),
        (b"", None, None),
        (b"", "x.png", "image/png"),
        (b"\x00\x01", "x.unknown", None),
        (b"PK\x03\x04" + bytes(9), "letter.docx", media_type_of("a.docx")),
    ],
)
def test_text_and_what_only_looks_like_something(data, name, media_type):
    assert sniff(data, name) == media_type


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (mpeg_frame(0xF3, 0x40, 104) + mpeg_frame(0xF3, 0x40, 104), "audio/mpeg"),  # MPEG 2, 22050 Hz, 32 kbit/s
        (mpeg_frame(0xE3, 0x40, 208) + mpeg_frame(0xE3, 0x40, 208), "audio/mpeg"),  # MPEG 2.5, 11025 Hz
        (mpeg_frame(0xFD, 0x80, 417) + mpeg_frame(0xFD, 0x80, 417), "audio/mpeg"),  # layer II, 128 kbit/s
        (mpeg_frame(0xFF, 0x10, 32) + mpeg_frame(0xFF, 0x10, 32), "audio/mpeg"),  # layer I, 32 kbit/s
        (mpeg_frame(0xFB, 0x90, 417), None),
        (mpeg_frame(0xFB, 0x00, 417) * 2, None),  # free bit rate
        (mpeg_frame(0xFB, 0xF0, 417) * 2, None),
        (mpeg_frame(0xFB, 0x9C, 417) * 2, None),  # reserved frequency
        (mpeg_frame(0xF9, 0x90, 417) * 2, None),  # reserved layer: AAC, with a length that leads nowhere
        (adts(), None),
        (adts(3) + adts(3), None),
        (id3(adts() + adts()), "audio/aac"),
        (id3(b"fLaC\x00"), "audio/flac"),
        (id3(mpeg_frame(0xFB, 0x90, 417)), "audio/mpeg"),
    ],
)
def test_sound_without_a_signature_needs_a_second_frame(data, media_type):
    assert sniff(data) == media_type


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\x00\x00\x00\x01mdat\x00\x00\x00\x00\x12", "video/quicktime"),
        (b"\x00\x00\x00\x04mdat\x00\x00\x00\x00\x12", None),
        (ebml(b"unknown"), None),
        (b"\x1a\x45\xdf\xa3\x8f\x42\x82", None),
        (riff(b"WEBP", b"VP8 "), "image/webp"),
        (riff(b"sfbk", bytes(8)), None),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"FORM\x00\x00\x00\x10ILBMBMHD", None),
        (ogg(b"fishead\x00") + ogg(b"\x01vorbis") + ogg(b"\x80theora"), "video/ogg"),
        (ogg(b"Speex   "), "audio/ogg"),
        (ftyp(b"dash", b"iso6"), "video/mp4"),
        (ftyp(b"iso5"), "video/mp4"),
    ],
)
def test_containers(data, media_type):
    assert sniff(data) == media_type


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("archive.tar.JSON", "application/json"),
        ("/tmp/a.png", "image/png"),
        ("C:\\photos\\a.png", "image/png"),
        ("png", None),
        (".png", None),
        ("a.", None),
        ("folder.png/", None),
        ("", None),
    ],
)
def test_type_of_a_name(name, media_type):
    assert media_type_of(name) == media_type


@pytest.mark.parametrize(
    ("media_type", "extension"),
    [
        ("image/jpeg", ".jpg"),
        ("IMAGE/JPG; q=1", ".jpg"),
        ("audio/wave", ".wav"),
        ("audio/mpeg", ".mp3"),
        ("text/plain;charset=utf-8", ".txt"),
        ("video/x-msvideo", ".avi"),
        ("x/y", None),
        ("", None),
    ],
)
def test_extension_to_save_under(media_type, extension):
    assert extension_of(media_type) == extension


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b.png", "b.png"), ("a\\b.png", "b.png"), ("b.png", "b.png"), ("a/..", None), ("a/", None), ("", None)],
)
def test_base_name_never_leads_anywhere(path, name):
    assert base_name(path) == name
