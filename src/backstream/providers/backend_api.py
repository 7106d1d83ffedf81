"""``BackendApi``: any server that speaks the backend-api protocol, as a provider."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from os import PathLike
from ssl import SSLContext
from typing import Any, ClassVar
from urllib.parse import quote

from backstream.credentials import Secret
from backstream.dialects.backend_api import CONVERSATION_PATH, BackendApiParser, render_request
from backstream.dialects.backend_api.request import EVENTS_FIELD, ApiKey
from backstream.errors import ConfigurationError, InvalidRequestError, UnsupportedFeatureError
from backstream.messages import MediaListType, Messages, check_messages
from backstream.options import split_options
from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin
from backstream.providers.embedded import embedded_url
from backstream.providers.http_provider import BackendSpec, HTTPSource, open_source
from backstream.providers.recorder import StreamLabel
from backstream.providers.result import AsyncResult
from backstream.transport.fetch import fetch_json
from backstream.transport.media import load_media
from backstream.transport.session import check_url
from backstream.transport.url import parse_url

__all__ = ["BackendApi"]

_log = logging.getLogger("backstream.providers.backend_api")


class BackendApi(AsyncGeneratorProvider, ProviderModelMixin):
    """A server that speaks the backend-api protocol.

    Subclass it and set ``url``. ``BackendApi`` itself talks to the server that the environment variable
    ``BACKSTREAM_URL`` names, and without one to the embedded backend, which is started when first needed. Nothing is
    instantiated.

    Attributes:
        url: Scheme, host and port of the server, e.g. ``"http://127.0.0.1:8080"``; a trailing slash does no harm.
        ssl: TLS: ``None`` verifies by the operating system's trust store, ``False`` does not verify at all, an
            ``SSLContext`` or the path of a CA file verify by that.
        headers: Header fields to send with every request.
    """

    url: ClassVar[str | None] = None
    ssl: ClassVar[SSLContext | str | PathLike[str] | bool | None] = None
    headers: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def create_async_generator(
        cls,
        model: str | None,
        messages: Messages,
        media: MediaListType = None,
        api_key: str | Secret | Mapping[str, str | Secret] | None = None,
        **kwargs: Any,
    ) -> AsyncResult:
        """Send a conversation and stream its answer.

        The request goes out with the first iteration of the result, its media read and encoded as they are sent.

        Args:
            model: The model's name, one of ``model_aliases``, or ``""`` for the default.
            messages: The conversation, oldest message first.
            media: Items to send with it: paths, bytes, files, Pillow images, data URIs, http(s) URLs; bare, or paired
                with a file name. The list is not changed.
            api_key: The key for the provider behind the server, or a mapping of provider names to keys. It travels in
                the body; logs show eight hex digits of its SHA-256.
            **kwargs: ``options``, ``deadlines``, ``timeout``, ``proxy`` and ``on_progress`` act here (see
                :class:`backstream.CallOptions`) and are not sent; a ``provider`` given as a class is sent as its name;
                every other keyword becomes a member of the body.

        Returns:
            The answer: an asynchronous iterator of :class:`backstream.RawResponse`, which can also be awaited first.

        Raises:
            CallerError: The messages, the URL, the key or an option cannot work. Nothing was sent.
            ProviderError: While iterating: the back-end, or the way to it, failed.
        """
        if not isinstance(model, str | None):
            raise InvalidRequestError(f"model is a {type(model).__name__}", "pass its name as text")
        check_messages(messages)
        options, members = split_options(kwargs)
        members = {**members, **options.extra_body}
        for name in ("model", "messages", "media", "api_key"):
            if name in members:
                raise InvalidRequestError(f"extra_body names {name!r}", f"pass {name}= itself")
        if "provider" in members:
            members["provider"] = _provider_name(members["provider"])
        key = _wrap_key(api_key)
        base = cls._base_url()
        model = cls.get_model(model)

        async def open_answer() -> HTTPSource:
            _log.info("%s: model %r, %s", cls.__name__, model, _masked(key))
            # in a thread: opening a pipe waits for its writer, writing a picture or checking a long URI takes its time
            items = await asyncio.to_thread(load_media, media) if media is not None else ()
            body = render_request(model, [_without_parts(message) for message in messages], items, key, members)
            spec = cls._spec(base or await embedded_url())
            _check_origins(key, spec.url)
            parser = BackendApiParser(max_line_bytes=options.max_line_bytes, max_event_bytes=options.max_event_bytes)

            def secrets() -> Sequence[str]:
                return [secret.reveal() for secret in _secrets(key)]

            label = StreamLabel(dialect="backend_api", model=model)
            return await open_source(spec, CONVERSATION_PATH, body, parser, options, body_secrets=secrets, label=label)

        return AsyncResult(open_answer)

    @classmethod
    async def fetch_models(cls, provider: str | None = None) -> Any:
        """Ask the server for its models.

        Args:
            provider: One provider's name; ``None`` for all.

        Returns:
            As the server gives them: ``{provider: [model, …]}``, or for one provider a list of model objects.

        Raises:
            ProviderError: The server, or the way to it, failed.
        """
        return await cls._fetch("models" if provider is None else f"models/{quote(provider, safe='')}")

    @classmethod
    async def fetch_providers(cls) -> Any:
        """Ask the server for its providers: a list of provider objects, as the server gives them.

        Raises:
            ProviderError: The server, or the way to it, failed.
        """
        return await cls._fetch("providers")

    @classmethod
    async def _fetch(cls, what: str) -> Any:
        spec = cls._spec(cls._base_url() or await embedded_url())
        return await fetch_json(f"{spec.url}/backend-api/v2/{what}", headers=spec.headers, ssl=spec.ssl)

    @classmethod
    def _base_url(cls) -> str | None:
        """Where this class points; ``None`` for the embedded backend."""
        url = cls.url
        if cls is BackendApi and url is None:
            url = os.environ.get("BACKSTREAM_URL") or None
            if url is None:
                return None
        if url is None:
            raise ConfigurationError(f"{cls.__name__} has no url", 'set url = "http://127.0.0.1:8080" or the like')
        return check_url(url)

    @classmethod
    def _spec(cls, base: str) -> BackendSpec:
        headers = {**EVENTS_FIELD, **(cls.headers or {})}
        return BackendSpec(name=cls.__name__, url=base.rstrip("/"), headers=headers, ssl=cls.ssl)


def _without_parts(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out the typed parts of an earlier reply: servers of this protocol hand messages on as they are."""
    if "parts" not in message:
        return message
    return {name: value for name, value in message.items() if name not in ("parts", "opaque")}


def _provider_name(provider: object) -> object:
    """A class is sent as its name; everything else as it is."""
    return provider.__name__ if isinstance(provider, type) else provider


def _wrap_key(api_key: str | Secret | Mapping[str, str | Secret] | None) -> ApiKey | None:
    if api_key is None or isinstance(api_key, Secret):
        return api_key
    if isinstance(api_key, str) or callable(api_key):
        return Secret(api_key)
    if isinstance(api_key, Mapping):
        return {name: key if isinstance(key, Secret) else Secret(key) for name, key in api_key.items()}
    raise UnsupportedFeatureError(f"api_key is a {type(api_key).__name__}", "pass text, or a dict of provider to text")


def _secrets(key: ApiKey | None) -> Sequence[Secret]:
    if key is None:
        return ()
    return (key,) if isinstance(key, Secret) else tuple(key.values())


def _check_origins(key: ApiKey | None, url: str) -> None:
    """Check that every key may be sent to a server.

    Raises:
        ConfigurationError: One is bound to another origin.
    """
    origin = parse_url(url).origin
    for secret in _secrets(key):
        if secret.origin is not None and secret.origin != origin:
            raise ConfigurationError(f"a key bound to {secret.origin} was about to be sent to {origin}")


def _masked(key: ApiKey | None) -> str:
    if key is None:
        return "no key"
    if isinstance(key, Secret):
        return key.masked
    return ", ".join(f"{name} {secret.masked}" for name, secret in key.items())
