"""Names that several modules of this dialect need, and values that look the same wherever they stand.

Source: https://docs.ollama.com/modelfile and the options of the request in https://docs.ollama.com/api/generate.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from backstream.errors import DecodeError
from backstream.media import sniff
from backstream.wire.json_text import decode_json, encode_json

__all__ = ["NAME", "OPTIONS", "RUNTIME_OPTIONS", "object_text", "parse_time", "render_time", "sniff_base64"]

NAME: Final = "ollama"

OPTIONS: Final[Mapping[str, str]] = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "stop": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repeat_penalty",
}
"""Our name of a parameter → its name in ``options``."""

RUNTIME_OPTIONS: Final = frozenset(
    {
        "num_ctx",
        "num_keep",
        "num_predict",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "numa",
        "low_vram",
        "use_mmap",
        "use_mlock",
        "vocab_only",
        "f16_kv",
        "typical_p",
        "tfs_z",
        "repeat_last_n",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "penalize_newline",
    }
)
"""Options that have no name of ours."""

_HEAD: Final = 1024  # characters of base64 that tell a type; a multiple of four


def sniff_base64(data: str) -> str:
    """Tell the type of an image in base64 by its first bytes; ``image/png`` where they do not tell."""
    try:
        seen = sniff(a2b_base64(data[:_HEAD].encode("ascii")))
    except ValueError:  # UnicodeError and binascii.Error are ones
        seen = None
    return seen if seen is not None and seen.startswith("image/") else "image/png"


def object_text(arguments: str) -> msgspec.Raw | None:
    """Check that a text is one JSON object, and return it on one line, else as it was written; ``None`` if it is none.

    Args:
        arguments: The arguments of a tool call; ``""`` stands for none.
    """
    try:
        value = decode_json(arguments or "{}")
    except DecodeError:
        return None
    if not isinstance(value, dict):
        return None
    try:
        text = (arguments or "{}").encode()
        msgspec.json.decode(text)
    except ValueError:  # half characters
        text = encode_json(value)
    return msgspec.Raw(encode_json(value) if b"\n" in text or b"\r" in text else text)


def parse_time(text: object) -> int | None:
    """Read a time as Ollama writes it (RFC 3339, nine digits of a second) as seconds since the epoch."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def render_time(seconds: float) -> str:
    """Write seconds since the epoch as Ollama does; a time outside the years 1 to 9999 becomes the epoch."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat().replace("+00:00", "Z")
