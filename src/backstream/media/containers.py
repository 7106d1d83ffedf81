"""Tell apart what shares a container: RIFF and IFF, ISO base media, EBML, Ogg. Pure; sees only the first bytes."""

from __future__ import annotations

from typing import Final

__all__ = ["sniff_ebml", "sniff_iso_media", "sniff_ogg", "sniff_riff"]

_BRANDS: Final = {
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4P ": "audio/mp4",
    b"F4A ": "audio/mp4",
    b"F4B ": "audio/mp4",
    b"isom": "video/mp4",
    b"avc1": "video/mp4",
    b"dash": "video/mp4",
    b"cmfc": "video/mp4",
    b"MSNV": "video/mp4",
    b"M4V ": "video/mp4",
    b"M4VH": "video/mp4",
    b"M4VP": "video/mp4",
    b"F4V ": "video/mp4",
    b"f4v ": "video/mp4",
}
_BRAND_FAMILIES: Final = {b"mp4": "video/mp4", b"iso": "video/mp4", b"3gp": "video/3gpp", b"3g2": "video/3gpp2"}
_STILL_PICTURES: Final = (b"mif1", b"msf1", b"miaf")
# A QuickTime file older than "ftyp" begins with one of these atoms.
_OLD_ATOMS: Final = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def sniff_riff(head: bytes) -> str | None:
    """Name a RIFF or IFF file by the form that follows its length."""
    group, form = head[:4], head[8:12]
    if group in (b"RIFF", b"RF64", b"BW64"):
        if form == b"WEBP":
            return "image/webp"
        return {b"WAVE": "audio/wav", b"AVI ": "video/avi"}.get(form)
    return "audio/aiff" if group == b"FORM" and form in (b"AIFF", b"AIFC") else None


def sniff_iso_media(head: bytes) -> str | None:
    """Name a file of the MP4 family by its brands.

    Source:
        https://mimesniff.spec.whatwg.org/#signature-for-mp4 (the box must be whole and a multiple of four), and the
        brands registered at https://mp4ra.org/registered-types/brands
    """
    size, atom = int.from_bytes(head[:4], "big"), head[4:8]
    if atom != b"ftyp":
        return "video/quicktime" if atom in _OLD_ATOMS and _is_atom_size(head, size) else None
    if size < 12 or size % 4 or size > len(head):
        return None
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    if brands[0] in _STILL_PICTURES:
        return next((kind for kind in map(_brand, brands) if kind in ("image/avif", "image/heic")), "image/heif")
    return next((kind for kind in map(_brand, brands) if kind is not None), None)


def _brand(brand: bytes) -> str | None:
    return _BRANDS.get(brand) or _BRAND_FAMILIES.get(brand[:3])


def _is_atom_size(head: bytes, size: int) -> bool:
    # 1 announces a 64-bit size. A first byte of 9 or more might be text.
    return head[0] < 9 and (size >= 8 or size == 1)


def sniff_ebml(head: bytes) -> str | None:
    """Name a Matroska or WebM file by its document type.

    Source:
        https://mimesniff.spec.whatwg.org/#signature-for-webm (the element within the first 38 bytes, its text
        possibly after zero bytes), widened to ``matroska``.
    """
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    at = head.find(b"\x42\x82", 4, 40)
    if at < 0 or at + 2 >= len(head) or not head[at + 2]:
        return None
    width = 9 - head[at + 2].bit_length()
    name = head[at + 2 + width :].lstrip(b"\x00")
    if name.startswith(b"webm"):
        return "video/webm"
    return "video/x-matroska" if name.startswith(b"matroska") else None


def sniff_ogg(head: bytes) -> str | None:
    """Name an Ogg file: a picture stream that begins within the head makes it a video.

    Source:
        RFC 5334 (types), RFC 3533 (every stream begins on a page at the start of the file).
    """
    if not head.startswith(b"OggS\x00"):
        return None
    moving = (b"\x80theora", b"BBCD\x00", b"\x01video", b"OVP80")
    return "video/ogg" if any(mark in head for mark in moving) else "audio/ogg"
