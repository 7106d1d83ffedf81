"""``Echo``: the provider for a machine with nothing else. It tells what it received, so that anybody can check it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

from backstream.chunks import Content, Finish, RawResponse, Reasoning, ToolCalls, Usage
from backstream.errors import (
    AuthenticationError,
    InvalidRequestError,
    RateLimitError,
    UnavailableError,
    UnknownModelError,
)
from backstream.media import encode_data_uri, pixel_size, sniff
from backstream.media.item import MediaItem
from backstream.messages import MediaListType, Messages
from backstream.options import LOCAL_KEYWORDS
from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin
from backstream.transport.media import load_media

__all__ = ["Echo"]

_HEAD_BYTES = 64 * 1024
_QUOTED_CHARACTERS = 300
_NAME_CHARACTERS = 60
_LONGEST_PACE_SECONDS = 5.0
_UNTOLD = LOCAL_KEYWORDS | {"stream_options"}  # says how to stream, and nothing of the answer
_WORD = re.compile(r"\S+\s*|\s+")


class Echo(AsyncGeneratorProvider, ProviderModelMixin):
    """Answer with what was received: roles, sizes, parameters' names, and type, pixels and SHA-256 of media.

    It is not a language model and says so. Its counts of tokens are counts of words.

    Models:
        ``echo`` answers. ``echo-reasoning`` reasons first. ``echo-tools`` calls a tool. ``echo-media`` answers with a
        picture. ``echo-fail-start`` fails before the first chunk, ``echo-fail-middle`` after some words,
        ``echo-fail-end`` after the last; ``echo-fail-auth`` and ``echo-fail-rate`` refuse a key and a rate.
        ``echo-empty`` says nothing.

    Further parameters:
        ``max_tokens``: the most words to say; the answer then ends with the reason ``length``.
        ``pace_seconds``: how long to wait before each word, at most 5; default 0.
    """

    label = "Echo, the embedded backend"
    default_model = "echo"
    models: ClassVar = (
        "echo",
        "echo-reasoning",
        "echo-tools",
        "echo-media",
        "echo-fail-start",
        "echo-fail-middle",
        "echo-fail-end",
        "echo-fail-auth",
        "echo-fail-rate",
        "echo-empty",
    )
    vision_models: ClassVar = ("echo", "echo-reasoning")
    image_models: ClassVar = ("echo-media",)

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: Messages,
        media: MediaListType = None,
        api_key: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[RawResponse]:
        """See the class.

        Raises:
            UnknownModelError: Not one of the models above.
            InvalidRequestError: ``pace_seconds`` is no number from 0 to 5.
            InvalidMediaError: An item could not be read.
        """
        model = cls.get_model(model)
        if model not in cls.models:
            raise UnknownModelError(model, cls.models)
        pace = _read_pace(kwargs.get("pace_seconds", 0))
        _fail_before_the_first_chunk(model)
        if model == "echo-reasoning":
            for word in _words("I look at what arrived: first the messages, then the media."):
                await asyncio.sleep(pace)
                yield Reasoning(token=word)
        if model == "echo-empty":
            return
        if model == "echo-tools":
            yield ToolCalls(tool_calls=[_tool_call(kwargs.get("tools"))])
            yield Finish(finish={"reason": "tool_calls"})
            return
        if model == "echo-media":
            uri = encode_data_uri(_picture(), "image/png")
            yield Content(content=f"![a gradient]({uri})\n\n", urls=[uri], alt="a gradient")
        said = 0
        most = _read_limit(kwargs)
        sent = {name: value for name, value in kwargs.items() if name not in _UNTOLD}
        reason = "stop"
        async for text in _report(messages, media, sent):
            for word in _words(text):
                if said == most:
                    reason = "length"
                    break
                await asyncio.sleep(pace)
                yield Content(content=word)
                said += 1
                if said == 5 and model == "echo-fail-middle":
                    raise UnavailableError("Echo was asked to fail in the middle", status=503)
        if model == "echo-fail-end":
            raise UnavailableError("Echo was asked to fail at the end", status=503)
        heard = await asyncio.to_thread(_count_words, messages)  # nor must counting a long prompt
        yield Finish(finish={"reason": reason})
        yield Usage(
            usage={"prompt_tokens": heard, "completion_tokens": said, "total_tokens": heard + said},
            model=model,
            provider=cls.__name__,
        )


def _read_pace(pace: object) -> float:
    if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 <= pace <= _LONGEST_PACE_SECONDS:
        raise InvalidRequestError("pace_seconds is no number from 0 to 5", "leave it out for no pause")
    return float(pace)


def _read_limit(keywords: Mapping[str, Any]) -> int | None:
    """Return how many words may be said; ``None`` for all of them."""
    limit = keywords.get("max_tokens", keywords.get("max_completion_tokens"))
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None


def _fail_before_the_first_chunk(model: str) -> None:
    if model == "echo-fail-start":
        raise UnavailableError("Echo was asked to fail at the start", status=503)
    if model == "echo-fail-auth":
        raise AuthenticationError("Echo was asked to refuse the key", status=401)
    if model == "echo-fail-rate":
        raise RateLimitError("Echo was asked to be busy", status=429, retry_after_seconds=1.0)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _count_words(messages: Messages) -> int:
    """Count without a list of them: a prompt of 64 MiB may have 30 million."""
    return sum(1 for message in messages for _ in _WORD.finditer(_text_of(message)))


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return " ".join(text for text in texts if isinstance(text, str))


async def _report(messages: Messages, media: MediaListType, parameters: Mapping[str, Any]) -> AsyncIterator[str]:
    yield "I am **Echo**, the backend built into backstream. I am not a language model: "
    yield "I tell you what arrived here.\n\n"
    yield f"{_counted(len(messages), 'message')} arrived:\n\n"
    for message in messages:
        yield f"- {message.get('role')}: {_counted(len(_text_of(message)), 'character')}\n"
    asked = next((_text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")
    if asked:
        shown = " ".join(asked[:_QUOTED_CHARACTERS].split())
        yield f"\nThe last one from the user says: “{shown}{'…' if len(asked) > _QUOTED_CHARACTERS else ''}”\n"
    if parameters:
        yield f"\n{_counted(len(parameters), 'further parameter')} arrived: "
        yield ", ".join(f"`{name[:_NAME_CHARACTERS]}`" for name in sorted(parameters)) + "\n"
    items = load_media(media)
    if items:
        yield f"\n{_counted(len(items), 'media item')} arrived:\n\n"
    for item in items:
        yield await asyncio.to_thread(_describe, item)  # hashing a large file must not hold up the loop


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _describe(item: MediaItem) -> str:
    name = f"`{item.filename}`" if item.filename else "an unnamed item"
    if item.url is not None or item.blocks is None:
        return f"- {name}: a URL, which I do not fetch\n"
    digest, size, head = hashlib.sha256(), 0, b""
    for block in item.blocks():
        digest.update(block)
        size += len(block)
        if len(head) < _HEAD_BYTES:
            head += block[: _HEAD_BYTES - len(head)]
    pixels = pixel_size(head)
    facts = [
        sniff(head, item.filename) or item.media_type,
        _counted(size, "byte"),
        *([f"{pixels[0]} × {pixels[1]} pixels"] if pixels else []),
        f"SHA-256 `{digest.hexdigest()}`",
    ]
    return f"- {name}: {', '.join(facts)}\n"


def _tool_call(tools: object) -> dict[str, Any]:
    """Call the first tool offered, with no arguments."""
    name = "echo"
    if isinstance(tools, list) and tools and isinstance(tools[0], Mapping):
        function = tools[0].get("function")
        name = str(function.get("name", name)) if isinstance(function, Mapping) else name
    return {"id": "call_echo_1", "type": "function", "function": {"name": name, "arguments": "{}"}}


def _picture(width: int = 96, height: int = 64) -> bytes:
    """Make a small PNG: a gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def rows() -> Iterator[bytes]:
        for y in range(height):
            yield b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 160)) for x in range(width))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(rows()))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
