"""What an ordinary back-end offers beside conversations: embeddings, pictures, speech, and text from speech.

Errors, deadlines, keys and media are those of conversations. Knows no vendor's form; see
:mod:`backstream.dialects.services` for those.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from backstream.credentials import Secret
from backstream.dialects.base import RenderedRequest
from backstream.dialects.services import ServiceForms, TextInput, services_for
from backstream.errors import (
    DecodeError,
    InvalidRequestError,
    MisuseError,
    TooLargeError,
    UnsupportedFeatureError,
)
from backstream.media import MediaItem
from backstream.messages import ImageType, MediaListType
from backstream.options import CallOptions, split_options
from backstream.providers.http_provider import blot_out
from backstream.providers.table import ROWS, Row
from backstream.services import Embeddings, Images, Speech, Transcript
from backstream.transport.media import load_media
from backstream.transport.session import StreamResponse

if TYPE_CHECKING:
    from backstream.chunks import Usage
    from backstream.dialects.base import Dialect
    from backstream.providers.http_provider import BackendSpec
    from backstream.wire.http import Body

__all__ = ["Services", "SpeechStream"]

_log = logging.getLogger("backstream.providers.services")

_MOST_BYTES: Final = 256 * 1024 * 1024
"""Cap on an answer that is held whole."""

_MOST_NAMED = 5
_JSON: Final = "application/json"
_REMEDIES: Final[Mapping[str, str]] = {
    "images": "; or ask a model that makes pictures in a conversation",
    "transcriptions": "; or send the sound to a model that hears, in a conversation, with media=",
}


class SpeechStream:
    """Speech that is handed on while it is made: ``async with`` opens it, ``async for`` gives its blocks.

    Attributes:
        media_type: The sound's type; ``""`` before it is open.
        model: The model that answered; ``None`` where the back-end does not say.
        usage: What it used, as the back-end counted it; ``None`` where it does not.
    """

    __slots__ = ("_blocks", "_forms", "_members", "_open", "_response", "media_type", "model", "usage")

    def __init__(
        self, open_answer: Callable[[], Awaitable[StreamResponse]], forms: ServiceForms, members: Mapping[str, Any]
    ) -> None:
        self._open = open_answer
        self._forms = forms
        self._members = members
        self._response: StreamResponse | None = None
        self._blocks: list[bytes] = []
        self.media_type = ""
        self.model: str | None = None
        self.usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<SpeechStream {self.media_type or 'not open'}>"

    async def __aenter__(self) -> Self:
        if self._response is not None:
            raise MisuseError("the speech has been opened before")
        self._response = response = await self._open()
        try:
            first = await _read_sound(response)
            kind = self._forms.speech_type(response.headers.get("content-type", ""), first[:4096], self._members)
            if kind is None:
                body = first + await _read_rest(response, "speech")
                speech = self._forms.parse_speech(body, self._members)
                first, kind, self.model, self.usage = speech.data, speech.media_type, speech.model, speech.usage
            if not first:
                raise DecodeError("the answer holds no sound")
        except BaseException as error:  # also a cancelled task must not leave the connection open
            response.abort()
            blot_out(error, response.secrets)
            raise
        self.media_type = kind
        self._blocks.append(first)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next block, never empty; the stream is over only where the answer was whole.

        Raises:
            MisuseError: The stream is not open.
            ProviderError: The answer was cut off, or a deadline passed.
        """
        if self._response is None:
            raise MisuseError("the speech is not open; write: async with provider.speech_stream(…) as speech")
        if self._blocks:
            return self._blocks.pop()
        if block := await _read_sound(self._response):
            return block
        raise StopAsyncIteration


class Services:
    """The services of a provider that is made of a row, a dialect and a key.

    Every method takes ``api_key`` for a key of this call, and the local options of :class:`backstream.CallOptions` as
    keywords. Further keywords are parameters by the back-end's own names, and go out as they are.
    """

    name: str
    row: Row
    dialect: Dialect

    if TYPE_CHECKING:  # what the provider itself has

        def _key_for(self, api_key: str | Secret | None) -> Secret | None: ...
        def _spec(self, key: Secret | None) -> BackendSpec: ...
        async def _signed(self, rendered: RenderedRequest, spec: BackendSpec) -> BackendSpec: ...
        async def ask(  # noqa: D102 - see DialectProvider
            self,
            method: str,
            path: str,
            *,
            spec: BackendSpec | None = None,
            body: Body | None = None,
            query: Mapping[str, str] = {},
            options: CallOptions | None = None,
            headers: Mapping[str, str] = {},
        ) -> StreamResponse: ...

    async def embed(
        self,
        model: str,
        input: TextInput,  # noqa: A002 - the name that back-ends have for it
        api_key: str | Secret | None = None,
        **kwargs: Any,
    ) -> Embeddings:
        """Turn texts into vectors.

        Args:
            model: The model.
            input: A text, or several; tokens, where the back-end takes them.
            api_key: A key for this call.
            **kwargs: ``dimensions`` and further parameters; local options.

        Returns:
            As many vectors as texts, in their order.

        Raises:
            UnsupportedFeatureError: It makes no embeddings.
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: The back-end, or the way to it, failed.
        """
        forms, path = self._offered("embeddings", self.row.embeddings_path, model)
        options, members = _parameters("embed", kwargs)
        count = _count(input)
        rendered = forms.render_embeddings(path, model, input, members)
        body, _ = await self._answer(rendered, model, api_key, options)
        found = forms.parse_embeddings(body)
        if len(found.vectors) != count:
            raise DecodeError(f"the back-end gave {len(found.vectors)} vectors for {count} texts")
        return found

    async def images(
        self,
        model: str,
        prompt: str,
        media: MediaListType = None,
        mask: ImageType | None = None,
        api_key: str | Secret | None = None,
        **kwargs: Any,
    ) -> Images:
        """Have pictures made, or changed.

        Args:
            model: The model.
            prompt: What they should show.
            media: Pictures to change, or to go by.
            mask: A picture whose clear parts tell where to change the first one.
            api_key: A key for this call.
            **kwargs: ``n``, ``size``, ``quality``, ``output_format`` and further parameters; local options.

        Raises:
            UnsupportedFeatureError: It makes no pictures, or changes none.
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: The back-end, or the way to it, failed.
        """
        forms, path = self._offered("images", self.row.images_path, model)
        options, members = _parameters("images", kwargs)
        items = await _load(media)
        masks = await _load(None if mask is None else [mask])
        rendered = forms.render_images(
            path, model, prompt, members, items=items, mask=masks[0] if masks else None, boundary=_boundary()
        )
        body, _ = await self._answer(rendered, model, api_key, options)
        return forms.parse_images(body)

    async def speech(
        self, model: str, text: str, voice: Any = None, api_key: str | Secret | None = None, **kwargs: Any
    ) -> Speech:
        """Have a text spoken.

        Args:
            model: The model.
            text: What to say.
            voice: The voice's name, or what the back-end takes in its place; ``None`` leaves it to the back-end.
            api_key: A key for this call.
            **kwargs: ``response_format``, ``speed``, ``instructions`` and further parameters; local options.

        Returns:
            The sound, whole; at most 256 MiB. Samples without a header, as Gemini gives them, become a WAV file unless
            ``response_format`` is ``pcm``.

        Raises:
            UnsupportedFeatureError: It does not speak.
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: The back-end, or the way to it, failed.
        """
        async with self.speech_stream(model, text, voice, api_key, **kwargs) as stream:
            data = await _gather(stream, "speech")
            return Speech(data=data, media_type=stream.media_type, model=stream.model, usage=stream.usage)

    def speech_stream(
        self, model: str, text: str, voice: Any = None, api_key: str | Secret | None = None, **kwargs: Any
    ) -> SpeechStream:
        """Have a text spoken, and take the sound as it comes.

        ::

            async with provider.speech_stream("tts-1", "Hello", "alloy") as speech:
                async for block in speech:
                    player.write(block)

        A back-end that gives its sound inside JSON gives it as one block. Arguments and errors are those of
        :meth:`speech`; the request goes out when the stream is entered.
        """
        forms, path = self._offered("speech", self.row.speech_path, model)
        options, members = _parameters("speech", kwargs)
        rendered = forms.render_speech(path, model, text, voice, members)
        return SpeechStream(lambda: self._send(rendered, model, api_key, options, accept="*/*"), forms, members)

    async def transcribe(
        self,
        model: str,
        audio: ImageType | tuple[ImageType, str | None] | None,
        api_key: str | Secret | None = None,
        **kwargs: Any,
    ) -> Transcript:
        """Turn speech into text.

        Args:
            model: The model.
            audio: The sound: a path object, bytes, a binary file or a ``data:`` URI, bare or with a file name. A file
                is read while it is sent, never whole. ``None`` where one of ``**kwargs`` says where it is.
            api_key: A key for this call.
            **kwargs: ``language``, ``prompt``, ``response_format``, ``timestamp_granularities`` and further parameters;
                local options.

        Raises:
            UnsupportedFeatureError: It does not listen.
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: The back-end, or the way to it, failed.
        """
        forms, path = self._offered("transcriptions", self.row.transcriptions_path, model)
        options, members = _parameters("transcribe", kwargs)
        items = await _load(None if audio is None else [audio])
        item = items[0] if items else None
        rendered = forms.render_transcription(path, model, item, members, boundary=_boundary())
        body, content_type = await self._answer(rendered, model, api_key, options, accept=f"{_JSON}, text/*;q=0.9")
        return forms.parse_transcript(body, content_type)

    # --- what they share ---

    def _offered(self, service: str, path: str | None, model: str) -> tuple[ServiceForms, str]:
        forms = services_for(self.dialect.name)
        if path is None or forms is None:
            offer = [row for row in ROWS.values() if getattr(row, f"{service}_path") and row.name != self.name]
            others = list({row.url: row.name for row in reversed(offer)}.values())[: -_MOST_NAMED - 1 : -1]
            remedy = f"use one that does, such as {', '.join(others)}" + _REMEDIES.get(service, "")
            raise UnsupportedFeatureError(f"{self.name} offers no {service}", remedy)
        if not model:
            raise InvalidRequestError(f"{self.name}: no model is named", f"name one that offers {service}")
        return forms, path

    async def _answer(
        self,
        rendered: RenderedRequest,
        model: str,
        api_key: str | Secret | None,
        options: CallOptions,
        *,
        accept: str = _JSON,
    ) -> tuple[bytes, str]:
        async with await self._send(rendered, model, api_key, options, accept=accept) as response:
            return await _read_rest(response, "answer"), response.headers.get("content-type", "")

    async def _send(
        self,
        rendered: RenderedRequest,
        model: str,
        api_key: str | Secret | None,
        options: CallOptions,
        *,
        accept: str,
    ) -> StreamResponse:
        key = self._key_for(api_key)
        _log.info("%s: %s, model %r, %s", self.name, rendered.path, model, key.masked if key is not None else "no key")
        return await self.ask(
            "POST",
            rendered.path,
            spec=await self._signed(rendered, self._spec(key)),
            body=rendered.body,
            query=rendered.query,
            options=options,
            headers={"Accept": accept},
        )


def _parameters(method: str, keywords: Mapping[str, Any]) -> tuple[CallOptions, dict[str, Any]]:
    options, members = split_options(keywords)
    members = {**members, **options.extra_body}
    if members.get("stream") or members.get("stream_format") == "sse":
        raise UnsupportedFeatureError(
            f"{method}: answers in events are not read here", "leave stream out; speech_stream gives sound as it comes"
        )
    return options, members


def _count(texts: object) -> int:
    """Count the texts to embed; a list of tokens is one."""
    if isinstance(texts, str):
        return 1
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, list | tuple) or not texts:
        raise InvalidRequestError("embed: input is neither a text nor a list of them", 'pass "text" or ["text", …]')
    return 1 if all(isinstance(token, int) for token in texts) else len(texts)


async def _load(media: MediaListType) -> list[MediaItem]:
    # in a thread: opening a file may take its time, and writing a picture does
    return [] if media is None else await asyncio.to_thread(load_media, media)


def _boundary() -> str:
    return f"backstream-{secrets.token_hex(16)}"


async def _read_sound(response: StreamResponse) -> bytes:
    block = await response.read_block()
    if block:
        response.note_content()
    return block


async def _read_rest(response: StreamResponse, what: str) -> bytes:
    async def blocks() -> AsyncIterator[bytes]:
        while block := await _read_sound(response):
            yield block

    return await _gather(blocks(), what)


async def _gather(source: AsyncIterator[bytes], what: str) -> bytes:
    blocks, size = [], 0
    async for block in source:
        blocks.append(block)
        size += len(block)
        if size > _MOST_BYTES:
            raise TooLargeError(what, _MOST_BYTES)
    return b"".join(blocks)
