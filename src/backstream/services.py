"""What back-ends give beside conversations: vectors, pictures, speech, and text from speech. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.chunks import Usage
from backstream.request.parts import MediaPart

__all__ = ["Embeddings", "Images", "Passage", "Speech", "Transcript"]


class Embeddings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Texts as vectors.

    Attributes:
        vectors: One for each text, in their order.
        model: The model that answered; ``None`` where the back-end does not say.
        usage: What it used, as the back-end counted it; ``None`` where it does not.
    """

    vectors: tuple[tuple[float, ...], ...]
    model: str | None = None
    usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<Embeddings {len(self.vectors)} of {len(self.vectors[0]) if self.vectors else 0} dimensions>"


class Images(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Pictures a model made.

    Attributes:
        images: The pictures, each by ``data`` (base64) or by ``url``.
        revised_prompts: For each, the text it was made from, where the back-end changed it; else ``None``.
        model: The model that answered; ``None`` where the back-end does not say.
        usage: What it used, as the back-end counted it; ``None`` where it does not.
    """

    images: tuple[MediaPart, ...]
    revised_prompts: tuple[str | None, ...] = ()
    model: str | None = None
    usage: Usage | None = None


class Speech(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Speech made from text.

    Attributes:
        data: The sound.
        media_type: Its type, e.g. ``audio/mpeg``. Samples without a header keep the parameters that tell their rate.
        model: The model that answered; ``None`` where the back-end does not say.
        usage: What it used, as the back-end counted it; ``None`` where it does not.
    """

    data: bytes
    media_type: str
    model: str | None = None
    usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<Speech {self.media_type}, {len(self.data)} bytes>"


class Passage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """A passage, or a word, of a transcript.

    Attributes:
        text: What is said.
        start_seconds: When it begins; ``None`` where the back-end does not say.
        end_seconds: When it ends; likewise.
        speaker: Who speaks, as the back-end names them; ``None`` where it does not tell speakers apart.
        raw: All the back-end says of it.
    """

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    speaker: str | None = None
    raw: Mapping[str, Any] = {}


class Transcript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Text made from speech.

    Attributes:
        text: All of it; subtitles, where they were asked for.
        language: The language heard, as the back-end names it; ``None`` where it does not say.
        duration_seconds: How long the sound is; ``None`` likewise.
        segments: Its passages, where they were asked for.
        words: Its words, where they were asked for.
        model: The model that answered; ``None`` where the back-end does not say.
        usage: What it used, as the back-end counted it; ``None`` where it does not.
    """

    text: str
    language: str | None = None
    duration_seconds: float | None = None
    segments: tuple[Passage, ...] = ()
    words: tuple[Passage, ...] = ()
    model: str | None = None
    usage: Usage | None = None
