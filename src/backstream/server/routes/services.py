"""OpenAI's services: embeddings, pictures, speech and transcripts, from whichever provider gives them.

Nothing that a request or an answer names by URL is fetched here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backstream.dialects.services.openai_out import (
    parse_texts,
    render_embeddings,
    render_images,
    render_transcript,
)
from backstream.errors import BackstreamError, InvalidRequestError, UnsupportedFeatureError
from backstream.server.asgi import Field, send_plain
from backstream.server.dialect_bodies import read_members
from backstream.server.forms import Form, open_form
from backstream.server.offers import Sound, find_offer
from backstream.server.presence import ClientWatch
from backstream.server.routing import Exchange, Handler, Route
from backstream.server.stream_out import Outlet

__all__ = ["SERVICE_ROUTES"]

_TRANSCRIPT_FORMS: Final = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_SOUND_FORMS: Final = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_IMAGE_FORMS: Final = ("url", "b64_json")
_SOUND_TYPE: Final = re.compile(r"audio/[A-Za-z0-9.+-]{1,80}(; ?[A-Za-z0-9_-]{1,40}=[A-Za-z0-9._-]{1,40}){0,4}")
"""What a provider may call a sound; a page, or a line of its own, it may not make of the answer."""
_STREAMED: Final[Sequence[Field]] = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)


async def embed(exchange: Exchange) -> None:
    """Answer ``POST /v1/embeddings``.

    Raises:
        Refusal: The server is full or stops, the key may not, or the body cannot be taken.
        BackstreamError: The request is wrong, or the provider failed.
        ClientGone: The client went away.
    """
    async with exchange.admission.admit(exchange):
        members = await read_members(exchange)
        texts = parse_texts(members.get("input"))
        form = _one_of(members, "encoding_format", ("float", "base64"))
        parameters = _without(members, "model", "input", "encoding_format")
        _check_count(parameters, "dimensions")
        async with ClientWatch(exchange.receive):
            offer = await find_offer(exchange, members, "embed")
            found = await offer.ask(parameters, texts)
            exchange.record.usage = found.usage
            body = await asyncio.to_thread(render_embeddings, found, members["model"], base64=form == "base64")
            await _send(exchange, "application/json", body)


async def make_images(exchange: Exchange) -> None:
    """Answer ``POST /v1/images/generations``; raises as :func:`embed`."""
    async with exchange.admission.admit(exchange):
        members = await read_members(exchange)
        prompt = _text(members, "prompt")
        form = _one_of(members, "response_format", _IMAGE_FORMS)
        parameters = _without(members, "model", "prompt")
        _check_count(parameters, "n")
        _check_whole(parameters)
        async with ClientWatch(exchange.receive):
            offer = await find_offer(exchange, members, "images")
            await _answer_images(exchange, await offer.ask(parameters, prompt), form)


async def edit_images(exchange: Exchange) -> None:
    """Answer ``POST /v1/images/edits``, a form; raises as :func:`embed`."""
    async with exchange.admission.admit(exchange), open_form(exchange) as form:
        members = _fields(form)
        prompt = _text(members, "prompt")
        wanted = _one_of(members, "response_format", _IMAGE_FORMS)
        images, masks = form.files.get("image", []), form.files.get("mask", [])
        if not images or len(masks) > 1:
            raise InvalidRequestError("the form needs a file image, and at most one mask")
        parameters = _without(members, "model", "prompt")
        _check_whole(parameters)
        async with ClientWatch(exchange.receive):
            offer = await find_offer(exchange, members, "images")
            found = await offer.ask(parameters, prompt, images, masks[0] if masks else None)
            await _answer_images(exchange, found, wanted)


async def _answer_images(exchange: Exchange, found: Any, form: str | None) -> None:
    exchange.record.usage = found.usage
    body = await asyncio.to_thread(render_images, found, int(time.time()), as_urls=form == "url")
    await _send(exchange, "application/json", body)


async def speak(exchange: Exchange) -> None:
    """Answer ``POST /v1/audio/speech`` with sound, as it comes where that can be; raises as :func:`embed`."""
    async with exchange.admission.admit(exchange):
        members = await read_members(exchange)
        text = _text(members, "input")
        _one_of(members, "response_format", _SOUND_FORMS)
        voice = members.get("voice")
        if not isinstance(voice, str | dict | None):
            raise InvalidRequestError("voice is neither a name nor an object")
        parameters = _without(members, "model", "input", "voice")
        _check_number(parameters, "speed", least=0)
        _check_whole(parameters)
        async with ClientWatch(exchange.receive) as watch:
            offer = await find_offer(exchange, members, "speech")
            async with offer.speak(text, voice, parameters) as sound:
                exchange.record.usage = sound.usage
                await _pass_on(exchange, sound, watch)


async def _pass_on(exchange: Exchange, sound: Sound, watch: ClientWatch) -> None:
    """Send sound; where it breaks off, so does the answer, without its end."""
    outlet = Outlet(exchange.send, None, b"")
    try:
        exchange.record.status = 200
        kind = sound.media_type if _SOUND_TYPE.fullmatch(sound.media_type) else "application/octet-stream"
        await outlet.open([*_head(exchange, kind), *_STREAMED], b"")
        async for block in sound.blocks:
            await outlet.write(block)
        watch.finishing()
        await outlet.write(b"", last=True)
    except BackstreamError as error:
        exchange.record.note_failure(error)
        raise
    finally:
        await outlet.aclose()


async def transcribe(exchange: Exchange) -> None:
    """Answer ``POST /v1/audio/transcriptions``, a form; raises as :func:`embed`."""
    async with exchange.admission.admit(exchange), open_form(exchange) as form:
        members = _fields(form)
        wanted = _one_of(members, "response_format", _TRANSCRIPT_FORMS)
        files = form.files.get("file", [])
        if len(files) != 1:
            raise InvalidRequestError(f"the form has {len(files)} files named file", "send one")
        parameters = _without(members, "model")
        for name in ("timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"):
            if name in form.fields:
                parameters[name] = form.fields[name]
        _check_whole(parameters)
        async with ClientWatch(exchange.receive):
            offer = await find_offer(exchange, members, "transcribe")
            found = await offer.ask(parameters, files[0])
            exchange.record.usage = found.usage
            await _send(exchange, *await asyncio.to_thread(render_transcript, found, wanted or "json"))


# --- what they share --------------------------------------------------------------------------------------------------


def _head(exchange: Exchange, content_type: str) -> list[Field]:
    return [
        (b"content-type", content_type.encode("latin-1", "replace")),
        (b"x-request-id", exchange.record.id.encode()),
    ]


async def _send(exchange: Exchange, content_type: str, body: bytes) -> None:
    exchange.record.status = 200
    await send_plain(exchange.send, 200, body, _head(exchange, content_type))


def _fields(form: Form) -> dict[str, Any]:
    """Return the fields that have one value; ``stream`` as what it says."""
    members: dict[str, Any] = {name: values[0] for name, values in form.fields.items() if len(values) == 1}
    if members.get("stream") in ("false", "0", ""):
        del members["stream"]
    return members


def _without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names and value is not None}


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if isinstance(value, str) and value:
        return value
    raise InvalidRequestError(f"{name} is no text", "send a text that is not empty")


def _one_of(members: Mapping[str, Any], name: str, known: Sequence[str]) -> str | None:
    value = members.get(name)
    if value is not None and value not in known:
        raise InvalidRequestError(f"{name} is none that is known", f"use {', '.join(known)}")
    return value


def _check_number(members: Mapping[str, Any], name: str, *, least: int) -> None:
    value = members.get(name, least)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < least:
        raise InvalidRequestError(f"{name} is no number of at least {least}")


def _check_count(members: dict[str, Any], name: str) -> None:
    """Check that a parameter is a whole number, also one that JSON may write as ``5.0``, and at least 1."""
    _check_number(members, name, least=1)
    if name in members:
        if members[name] % 1:
            raise InvalidRequestError(f"{name} is no whole number")
        members[name] = int(members[name])


def _check_whole(members: Mapping[str, Any]) -> None:
    if members.get("stream") or members.get("stream_format") == "sse":
        raise UnsupportedFeatureError("services are not answered in events here", "leave stream and stream_format out")


def _route(name: str, path: str, handler: Handler) -> Route:
    return Route(name, path, "POST", handler, dialect="openai_chat")


SERVICE_ROUTES: Final[Sequence[Route]] = (
    _route("embeddings", "/v1/embeddings", embed),
    _route("images", "/v1/images/generations", make_images),
    _route("image-edits", "/v1/images/edits", edit_images),
    _route("speech", "/v1/audio/speech", speak),
    _route("transcriptions", "/v1/audio/transcriptions", transcribe),
)
"""The routes of OpenAI's services."""
