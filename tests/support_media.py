"""Small media of every format: pictures written by Pillow, the rest as the least header that is still whole."""

from __future__ import annotations

import io
import struct

from PIL import Image


def picture(kind: str, size: tuple[int, int] = (33, 21), mode: str = "RGB", **options: object) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, 7 if mode in ("L", "P") else (12, 34, 56, 78)[: len(mode)]).save(
        target, format=kind, **options
    )
    return target.getvalue()


def ftyp(major: bytes, *others: bytes) -> bytes:
    brands = b"".join(others)
    return struct.pack(">I4s4sI", 16 + len(brands), b"ftyp", major, 0x200) + brands + b"\x00\x00\x00\x08free"


def ebml(document: bytes) -> bytes:
    inner = b"\x42\x86\x81\x01\x42\x82" + bytes((0x80 | len(document),)) + document + b"\x42\x87\x81\x04"
    return (
        b"\x1a\x45\xdf\xa3" + bytes((0x80 | len(inner),)) + inner + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    )


def ogg(first_packet: bytes) -> bytes:
    head = b"OggS\x00\x02" + bytes(8) + b"abcd" + bytes(4) + b"crc!"
    return head + b"\x01" + bytes((len(first_packet),)) + first_packet


def riff(form: bytes, body: bytes = b"fmt \x10\x00\x00\x00") -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + form + body


def adts(length: int = 64) -> bytes:
    frame = bytes((0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC))
    return frame.ljust(length, b"\x21")


def mpeg_frame(second: int, third: int, length: int) -> bytes:
    return bytes((0xFF, second, third, 0x00)).ljust(length, b"\x55")


def id3(behind: bytes, tag: bytes = b"\x00" * 20) -> bytes:
    size = len(tag)
    return b"ID3\x04\x00\x00" + bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127)) + tag + behind


SVG = b'<?xml version="1.0"?>\n<!-- a > b -->\n<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'

# (name, bytes, type): every name's extension alone gives the same type, and so do the bytes alone.
SAMPLES: list[tuple[str, bytes, str]] = [
    ("a.png", picture("PNG"), "image/png"),
    ("a.jpg", picture("JPEG"), "image/jpeg"),
    ("a.gif", picture("GIF", mode="P"), "image/gif"),
    ("a.webp", picture("WEBP"), "image/webp"),
    ("a.bmp", picture("BMP"), "image/bmp"),
    ("a.tiff", picture("TIFF"), "image/tiff"),
    ("a.avif", picture("AVIF", size=(64, 64)), "image/avif"),
    ("a.heic", ftyp(b"heic", b"mif1", b"heic"), "image/heic"),
    ("a.ico", picture("ICO"), "image/x-icon"),
    ("a.svg", SVG, "image/svg+xml"),
    ("a.wav", riff(b"WAVE"), "audio/wav"),
    ("a.mp3", mpeg_frame(0xFB, 0x90, 417) + mpeg_frame(0xFB, 0x92, 418), "audio/mpeg"),
    ("tagged.mp3", id3(mpeg_frame(0xFB, 0x90, 417)), "audio/mpeg"),
    ("a.flac", b"fLaC\x00\x00\x00\x22" + bytes(34), "audio/flac"),
    ("a.ogg", ogg(b"\x01vorbis" + bytes(23)), "audio/ogg"),
    ("a.opus", ogg(b"OpusHead\x01\x02" + bytes(9)), "audio/ogg"),
    ("a.m4a", ftyp(b"M4A ", b"M4A ", b"mp42", b"isom"), "audio/mp4"),
    ("a.aac", adts() + adts(), "audio/aac"),
    ("a.aiff", b"FORM\x00\x00\x00\x2eAIFFCOMM" + bytes(38), "audio/aiff"),
    ("a.mid", b"MThd\x00\x00\x00\x06\x00\x01\x00\x02\x01\xe0MTrk", "audio/midi"),
    ("a.amr", b"#!AMR\n\x3c\x91\x17\x16\xbe", "audio/amr"),
    ("a.mp4", ftyp(b"isom", b"isom", b"iso2", b"mp41"), "video/mp4"),
    ("a.mov", ftyp(b"qt  ", b"qt  "), "video/quicktime"),
    ("old.mov", b"\x00\x00\x02\x00moov\x00\x00\x00\x6cmvhd" + bytes(60), "video/quicktime"),
    ("a.3gp", ftyp(b"3gp4", b"3gp4", b"isom"), "video/3gpp"),
    ("a.webm", ebml(b"webm"), "video/webm"),
    ("a.mkv", ebml(b"matroska"), "video/x-matroska"),
    ("a.avi", riff(b"AVI ", b"LIST\xc0\x00\x00\x00hdrl"), "video/avi"),
    ("a.mpg", b"\x00\x00\x01\xba\x44\x00\x04\x00\x04\x01", "video/mpeg"),
    ("a.mpeg", b"\x00\x00\x01\xb3\x16\x00\xf0\xc4", "video/mpeg"),
    ("a.mts", (b"\x47\x40\x00\x10" + bytes(184)) * 3, "video/mp2t"),
    ("a.ogv", ogg(b"\x80theora\x03\x02\x01" + bytes(32)), "video/ogg"),
    ("a.flv", b"FLV\x01\x05\x00\x00\x00\x09", "video/x-flv"),
    ("a.wmv", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14), "video/x-ms-wmv"),
    ("a.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    ("a.rtf", rb"{\rtf1\ansi Hello}", "application/rtf"),
    ("a.txt", "Grüße, Welt\n".encode(), "text/plain"),
    ("a.html", b"<!DOCTYPE html>\n<html><body>hi</body></html>", "text/html"),
    ("a.xml", b'<?xml version="1.0"?><note/>', "text/xml"),
]
