"""Media types and the file extensions that stand for them.

A fixed table: the same answer on every machine. Knows no bytes and no files.
"""

from __future__ import annotations

from typing import Final

__all__ = ["base_name", "extension_of", "is_textual", "media_type_of"]

# One row a type; its first extension is the one a file is saved under.
_ROWS: Final = """
image/png                png apng
image/jpeg               jpg jpeg jpe jfif
image/gif                gif
image/webp               webp
image/bmp                bmp dib
image/tiff               tiff tif
image/avif               avif avifs
image/heic               heic
image/heif               heif hif
image/svg+xml            svg
image/x-icon             ico cur
image/jxl                jxl
audio/wav                wav wave
audio/mpeg               mp3 mpga mp2
audio/flac               flac
audio/ogg                ogg oga opus spx
audio/mp4                m4a m4b
audio/aac                aac adts
audio/aiff               aiff aif aifc
audio/midi               mid midi
audio/amr                amr
audio/webm               weba
audio/x-matroska         mka
audio/x-ms-wma           wma
video/mp4                mp4 m4v f4v
video/quicktime          mov qt
video/webm               webm
video/x-matroska         mkv
video/avi                avi
video/mpeg               mpeg mpg mpe m1v m2v vob
video/ogg                ogv ogm
video/mp2t               m2ts mts
video/3gpp               3gp 3gpp
video/3gpp2              3g2
video/x-flv              flv
video/x-ms-wmv           wmv asf
application/pdf          pdf
application/rtf          rtf
application/json         json
application/jsonl        jsonl ndjson
application/yaml         yaml yml
application/toml         toml
application/vnd.openxmlformats-officedocument.wordprocessingml.document    docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet          xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation  pptx
application/epub+zip     epub
text/plain               txt text log
text/markdown            md markdown
text/csv                 csv
text/tab-separated-values  tsv
text/html                html htm
text/xml                 xml
text/css                 css
text/javascript          js mjs
text/x-python            py pyi
text/vtt                 vtt
"""

_ALIASES: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "image/vnd.microsoft.icon": "image/x-icon",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-flac": "audio/flac",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "video/mov": "video/quicktime",
    "video/x-msvideo": "video/avi",
    "video/vnd.avi": "video/avi",
    "video/mpg": "video/mpeg",
    "video/x-m4v": "video/mp4",
    "video/matroska": "video/x-matroska",
    "video/wmv": "video/x-ms-wmv",
    "application/xml": "text/xml",
    "text/json": "application/json",
    "text/rtf": "application/rtf",
    "application/x-yaml": "application/yaml",
    "application/x-ndjson": "application/jsonl",
    "application/javascript": "text/javascript",
}

_EXTENSIONS: Final = {row.split()[0]: row.split()[1:] for row in _ROWS.strip().splitlines()}
_TYPES: Final = {extension: media_type for media_type, known in _EXTENSIONS.items() for extension in known}
_TEXTUAL: Final = frozenset(
    (
        "application/json",
        "application/jsonl",
        "application/yaml",
        "application/toml",
        "application/rtf",
        "image/svg+xml",
    )
)


def base_name(filename: str) -> str | None:
    r"""Return the last part of a path in either spelling (``/`` or ``\``), or ``None`` where none is left."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return name if name.strip(". ") else None


def media_type_of(filename: str) -> str | None:
    """Return the media type that a file name's extension stands for.

    Args:
        filename: A name or path; its case does not matter.

    Returns:
        The type as vendors write it (``audio/wav``, ``image/jpeg``), or ``None`` for an unknown extension.
    """
    stem, dot, extension = (base_name(filename) or "").rpartition(".")
    return _TYPES.get(extension.lower()) if stem and dot else None


def extension_of(media_type: str) -> str | None:
    """Return the extension, with its dot, to save a media type under.

    Args:
        media_type: A type, also in another usual spelling (``audio/x-wav``) or with parameters.

    Returns:
        For example ``".jpg"``; ``None`` for a type that is not in the table.
    """
    essence = media_type.partition(";")[0].strip().lower()
    known = _EXTENSIONS.get(_ALIASES.get(essence, essence))
    return f".{known[0]}" if known else None


def is_textual(media_type: str) -> bool:
    """Return whether files of a type are made of text, without control bytes."""
    return media_type.startswith("text/") or media_type in _TEXTUAL
