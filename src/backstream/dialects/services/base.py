"""What a form of services is: how one kind of back-end is asked for vectors, pictures and speech; pure."""

from __future__ import annotations

import binascii
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from backstream.chunks import Usage
from backstream.dialects.base import RenderedRequest
from backstream.dialects.counts import usage_of
from backstream.errors import DecodeError, UnsupportedFeatureError
from backstream.media import MediaItem, sniff
from backstream.request.parts import MediaPart
from backstream.services import Embeddings, Images, Speech, Transcript

__all__ = [
    "Members",
    "ServiceForms",
    "TextInput",
    "counted",
    "decode_as",
    "decode_base64",
    "image_part",
    "sniff_as",
    "text_inputs",
    "unpack_vector",
]

Members = Mapping[str, Any]
"""Parameters of a call by the back-end's own names; they go out as they are."""

TextInput = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
"""What is embedded: a text or several; or tokens, where the back-end takes them."""

_HEAD_CHARACTERS: Final = 5464  # of base64, for the 4 KiB that tell a type
_T = TypeVar("_T")


class ServiceForms(msgspec.Struct, frozen=True):
    """One form of services. What a back-end does not offer raises :class:`backstream.UnsupportedFeatureError`.

    Args:
        name: The dialect it belongs to.

    Attributes:
        name: Likewise.
    """

    name: str

    def render_embeddings(self, path: str, model: str, texts: TextInput, members: Members) -> RenderedRequest:
        """Render the question for the vectors of texts.

        Args:
            path: Where the row says.
            model: The model.
            texts: What to embed; never empty.
            members: Further parameters.
        """
        self._refuse("embeddings")

    def parse_embeddings(self, body: bytes) -> Embeddings:
        """Parse the answer to that; raises ``DecodeError`` on any other."""
        self._refuse("embeddings")

    def render_images(
        self,
        path: str,
        model: str,
        prompt: str,
        members: Members,
        *,
        items: Sequence[MediaItem] = (),
        mask: MediaItem | None = None,
        boundary: str = "",
    ) -> RenderedRequest:
        """Render the request for pictures.

        Args:
            path: Where the row says.
            model: The model.
            prompt: What they should show.
            members: Further parameters.
            items: Pictures to change, or to go by.
            mask: Where to change them.
            boundary: For a form; random.
        """
        self._refuse("images")

    def parse_images(self, body: bytes) -> Images:
        """Parse the answer to that; raises ``DecodeError`` on any other."""
        self._refuse("images")

    def render_speech(self, path: str, model: str, text: str, voice: Any, members: Members) -> RenderedRequest:
        """Render the request for speech.

        Args:
            path: Where the row says.
            model: The model.
            text: What to say.
            voice: Whose voice; ``None`` for the back-end's own choice.
            members: Further parameters.
        """
        self._refuse("speech")

    def speech_type(self, content_type: str, head: bytes, members: Members) -> str | None:
        """Return the type of the sound that an answer is; ``None`` where the answer must be parsed whole to get at it.

        Args:
            content_type: What the answer calls itself.
            head: Its first bytes.
            members: The parameters it was asked for with.

        Raises:
            DecodeError: It is no sound.
        """
        self._refuse("speech")

    def parse_speech(self, body: bytes, members: Members) -> Speech:
        """Parse an answer that holds the sound within; raises ``DecodeError`` where it does not."""
        self._refuse("speech")

    def render_transcription(
        self, path: str, model: str, audio: MediaItem | None, members: Members, *, boundary: str
    ) -> RenderedRequest:
        """Render the request for the text of speech.

        Args:
            path: Where the row says.
            model: The model.
            audio: The sound; ``None`` where a parameter of the back-end's own says where it is.
            members: Further parameters.
            boundary: For a form; random.
        """
        self._refuse("transcriptions")

    def parse_transcript(self, body: bytes, content_type: str) -> Transcript:
        """Parse the answer to that; raises ``DecodeError`` on any other."""
        self._refuse("transcriptions")

    def _refuse(self, service: str) -> NoReturn:
        raise UnsupportedFeatureError(f"the {self.name} dialect has no words for {service}", "choose another provider")


def text_inputs(dialect: str, texts: TextInput) -> list[str]:
    """Return the texts to embed.

    Raises:
        UnsupportedFeatureError: They are tokens.
    """
    listed = [texts] if isinstance(texts, str) else list(texts)
    found = [text for text in listed if isinstance(text, str)]
    if len(found) < len(listed):
        raise UnsupportedFeatureError(f"{dialect} makes embeddings of text only", "send text instead of tokens")
    return found


def decode_as(body: bytes, kind: type[_T], what: str) -> _T:
    """Decode a JSON answer.

    Args:
        body: The answer.
        kind: The type it must have.
        what: What it should be, for the error.

    Raises:
        DecodeError: It is no JSON, or of another shape.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise DecodeError(f"the answer is no {what}")


def decode_base64(text: str, what: str) -> bytes:
    """Decode base64; raises ``DecodeError`` where it is none."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    raise DecodeError(f"the answer holds {what} that is no base64")


def unpack_vector(text: str) -> tuple[float, ...]:
    """Read a vector from the base64 of its 32-bit floats, lowest byte first.

    Raises:
        DecodeError: It is none.
    """
    data = decode_base64(text, "a vector")
    if len(data) % 4:
        raise DecodeError("the answer holds a vector of broken length")
    vector = array("f", data)
    if sys.byteorder == "big":  # pragma: no cover - no such machine at hand
        vector.byteswap()
    return tuple(vector)


def image_part(data: str, media_type: str = "") -> MediaPart:
    """Make a picture of its base64; its first bytes tell its type, else what the back-end says.

    Raises:
        DecodeError: It is empty, or no base64.
    """
    head = decode_base64(data[:_HEAD_CHARACTERS], "a picture")
    if not head:
        raise DecodeError("the answer holds an empty picture")
    return MediaPart(kind="image", media_type=sniff_as("image", head) or media_type, data=data)


def sniff_as(kind: str, head: bytes) -> str | None:
    """Return the type that first bytes tell, where it is one of a kind (``image``, ``audio``)."""
    found = sniff(head)
    return found if found is not None and found.startswith(f"{kind}/") else None


def counted(dialect: str, raw: object, names: Mapping[str, Sequence[str]], model: str | None = None) -> Usage | None:
    """Make the usage of what a back-end counted; ``None`` where it counted nothing.

    Args:
        dialect: Whose form it is.
        raw: The back-end's own object.
        names: Parameter of :func:`backstream.dialects.counts.usage_of` → the back-end's names for it.
        model: The model that answered.
    """
    if not isinstance(raw, Mapping) or not raw:
        return None
    counts: dict[str, Any] = {}
    for parameter, theirs in names.items():
        found = [raw[name] for name in theirs if isinstance(raw.get(name), int) and raw[name] is not True]
        if found:
            counts[parameter] = found[0]
    return usage_of(dialect, raw, model=model, **counts)
