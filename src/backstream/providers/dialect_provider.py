"""An ordinary back-end as a provider: a row that says where, a dialect that says how, and a key."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from ssl import SSLContext
from typing import Any

import msgspec

from backstream.credentials import Secret
from backstream.dialects.base import Dialect, RenderedRequest, StreamParser
from backstream.dialects.names import dialect_for
from backstream.dialects.relay import FrameRelay
from backstream.errors import ConfigurationError, MissingKeyError, TooLargeError, UnsupportedFeatureError
from backstream.messages import MediaListType, Messages
from backstream.models import ModelInfo
from backstream.options import CallOptions, split_options
from backstream.providers.http_provider import BackendSpec, HTTPSource, blotting, open_source, reread, secrets_of
from backstream.providers.recorder import StreamLabel
from backstream.providers.result import AsyncResult
from backstream.providers.rows_shape import Row
from backstream.providers.services import Services
from backstream.providers.whole_answer import WholeAnswerParser, answer_parser
from backstream.request import Policy, Receipt, Receipts, Request, TextPart
from backstream.request.call import attach_media, parse_call
from backstream.transport.fetch import FETCH_DEADLINES
from backstream.transport.media import load_media
from backstream.transport.session import StreamResponse, StreamSession, check_url
from backstream.transport.url import parse_url
from backstream.wire.http import Body

__all__ = ["DialectProvider", "Sign"]

_log = logging.getLogger("backstream.providers.dialect_provider")

Sign = Callable[
    [str, str, Mapping[str, str], Body], "Mapping[str, str | Secret] | Awaitable[Mapping[str, str | Secret]]"
]
"""Signs a request: takes method, URL, header fields and body, and gives header fields to add; may be a coroutine."""

_LARGE_CHARACTERS = 256 * 1024
_TURN_CHARACTERS = 256  # a turn takes at least as long as so much text
_MOST_PAGES = 50


class DialectProvider(Services):
    """A back-end of the table, or of the configuration.

    Args:
        row: Where it is, and what is odd about it.
        key: Its key; sent to the origin of the row's URL only.
        dialect: How it is spoken to; ``None`` for the row's.
        ssl: TLS: ``None`` verifies by the operating system's trust store, ``False`` does not verify; a context or the
            path of a CA file verify by that.
        receipts: What to do about parameters it has no words for, where the call does not say.
        sign: Signs each request, for endpoints of clouds; see :data:`Sign`.

    Attributes:
        row: Its row.
        dialect: Its dialect.
        name: Its name.
        url: Where it is.
        label: Its name for people.
        default_model: The model that answers where none is named; ``None`` where the caller must name one.
        needs_auth: Whether it cannot answer without a key.

    Raises:
        ConfigurationError: The row's URL or dialect cannot work, or the key belongs to another origin.
    """

    def __init__(
        self,
        row: Row,
        key: str | Secret | None = None,
        *,
        dialect: Dialect | None = None,
        ssl: SSLContext | str | PathLike[str] | bool | None = None,
        receipts: Policy = "warn",
        sign: Sign | None = None,
    ) -> None:
        self.row = row
        self.name = row.name
        self.label = row.label
        self.url = check_url(row.url)
        self.default_model = row.default_model
        self.needs_auth = row.key_needed
        self.dialect = dialect_for(row.dialect, row.quirks) if dialect is None else dialect
        self._key = self._bind(key)
        self._ssl = ssl
        self._receipts: Policy = receipts
        self._sign = sign

    def __repr__(self) -> str:
        return f"<DialectProvider {self.name} {self.dialect.name}>"

    def get_dict(self) -> dict[str, str | None]:
        """Return ``name``, ``url`` and ``label``, as a ``provider`` event shows them."""
        return {"name": self.name, "url": self.url, "label": self.label}

    def _bind(self, key: str | Secret | None) -> Secret | None:
        if key is None:
            return None
        origin = parse_url(self.url).origin
        if not isinstance(key, Secret):
            return Secret(key, origin=origin)
        if key.origin not in (None, origin):
            raise ConfigurationError(f"a key bound to {key.origin} was about to be sent to {origin}")
        return key

    # --- conversations ------------------------------------------------------------------------------------------------

    def create_async_generator(
        self,
        model: str | None,
        messages: Messages,
        media: MediaListType = None,
        api_key: str | Secret | None = None,
        **kwargs: Any,
    ) -> AsyncResult:
        """Send a conversation and stream its answer; the request goes out with the first iteration.

        Args:
            model: The model, as the back-end names it; ``""`` or ``None`` for the row's default.
            messages: The conversation, oldest message first.
            media: Items to send with the last message of the user.
            api_key: A key for this call instead of the provider's own.
            **kwargs: Parameters by the names of OpenAI's chat completions; they are translated. What is not known here
                goes into the body as it is. Local options as in :class:`backstream.CallOptions`.

        Returns:
            The answer.

        Raises:
            CallerError: Something of the call cannot work. Nothing was sent.
            ProviderError: While iterating: the back-end, or the way to it, failed.
        """
        options, members = split_options(kwargs)
        request = parse_call(self._model(model), messages, (), {**members, **options.extra_body})
        return self.answer(request, media=media, api_key=api_key, options=options)

    def answer(
        self,
        request: Request,
        *,
        media: MediaListType = None,
        api_key: str | Secret | None = None,
        options: CallOptions | None = None,
        relay: FrameRelay | None = None,
    ) -> AsyncResult:
        """Send a typed request, as a gateway has it, and give its answer; the rest as :meth:`create_async_generator`.

        Args:
            request: The request, its model as the back-end names it.
            media: Items to send with the last turn of the user.
            api_key: A key for this call instead of the provider's own.
            options: The local options of the call.
            relay: Keeps the frames of the answer, for a client of the same dialect.
        """
        key = self._key_for(api_key)
        settings = options or CallOptions()

        async def open_answer() -> HTTPSource:
            _log.info("%s: model %r, %s", self.name, request.model, key.masked if key is not None else "no key")
            rendered, receipts = await self._render(request, media, settings)
            return await self._open(rendered, receipts, request, key, settings, relay=relay)

        return AsyncResult(open_answer)

    def _model(self, model: str | None) -> str:
        if model:
            return model
        if self.default_model is None:
            raise UnsupportedFeatureError(f"{self.name} has no default model", f"name one, as {self.name}/model")
        return self.default_model

    def _key_for(self, api_key: str | Secret | None) -> Secret | None:
        key = self._bind(api_key) or self._key
        if key is None and self.row.key_needed:
            raise MissingKeyError(self.name, self.row.key_variables[0] if self.row.key_variables else "its key")
        return key

    async def _render(
        self, request: Request, media: MediaListType, options: CallOptions
    ) -> tuple[RenderedRequest, tuple[Receipt, ...]]:
        policy: Policy = options.receipts or self._receipts

        def render() -> tuple[RenderedRequest, tuple[Receipt, ...]]:
            turns = attach_media(request.turns, load_media(media))
            receipts = Receipts()
            rendered = self.dialect.render_request(msgspec.structs.replace(request, turns=turns), receipts)
            return rendered, receipts.settle(policy, self.name)

        # in a thread where it may take its time: opening a pipe, writing a picture, encoding a long conversation
        return await asyncio.to_thread(render) if media is not None or _is_large(request) else render()

    def _spec(self, key: Secret | None) -> BackendSpec:
        headers: dict[str, str | Secret] = dict(self.row.headers)
        if key is not None:
            name, _, scheme = self.row.auth.partition(":")
            scheme = scheme.strip().capitalize()
            headers[name] = Secret(lambda: f"{scheme} {key.reveal()}", origin=key.origin) if scheme else key
        return BackendSpec(name=self.name, url=self.url, headers=headers, ssl=self._ssl)

    async def _open(
        self,
        rendered: RenderedRequest,
        receipts: tuple[Receipt, ...],
        request: Request,
        key: Secret | None,
        options: CallOptions,
        *,
        relay: FrameRelay | None,
    ) -> HTTPSource:
        def parser(content_type: str) -> StreamParser:
            parser = answer_parser(self.dialect, content_type, streamed=request.stream, options=options)
            # a document has no frames to keep
            framed = content_type != "application/json" or self.dialect.name == "ollama"
            keeps = relay is not None and framed and not isinstance(parser, WholeAnswerParser)
            return relay.watch(parser) if relay is not None and keeps else parser

        label = StreamLabel(
            dialect=self.dialect.name, quirks=self.row.quirks, model=request.model, streamed=request.stream
        )
        spec = await self._signed(rendered, self._spec(key))
        source = await open_source(
            spec,
            rendered.path,
            rendered.body,
            parser,
            options,
            query=rendered.query,
            parse_error=self.dialect.parse_error,
            label=label,
        )
        source.receipts = receipts
        source.relay = relay if relay is not None and relay.is_used else None
        return source

    async def _signed(self, rendered: RenderedRequest, spec: BackendSpec) -> BackendSpec:
        headers: dict[str, str | Secret] = {**spec.headers, **rendered.headers}
        if self._sign is not None:
            shown = {name: value for name, value in headers.items() if isinstance(value, str)}
            added = self._sign("POST", spec.url + rendered.path, shown, rendered.body)
            headers |= await added if inspect.isawaitable(added) else added
        return msgspec.structs.replace(spec, headers=headers)

    # --- questions with one answer ------------------------------------------------------------------------------------

    async def list_models(self, api_key: str | Secret | None = None) -> list[ModelInfo]:
        """Ask the back-end for its models; the row's own list where it has none to ask for.

        Raises:
            CallerError: The key is missing or malformed.
            ProviderError: The back-end, or the way to it, failed.
        """
        path = self.row.models_path
        if path is None:
            return [ModelInfo(id=model, provider=self.name) for model in self.row.models]
        spec = self._spec(self._key_for(api_key))
        models: list[ModelInfo] = []
        query: Mapping[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = self.dialect.parse_models(await self.fetch("GET", path, spec=spec, query=query))
            models += page.models
            if page.next_query is None:
                break
            query = page.next_query
        return [msgspec.structs.replace(model, provider=self.name) for model in models]

    async def count_tokens(
        self,
        model: str | None,
        messages: Messages,
        media: MediaListType = None,
        api_key: str | Secret | None = None,
        **kwargs: Any,
    ) -> int:
        """Ask the back-end how many tokens a request has.

        Args:
            model: As :meth:`create_async_generator` takes it, like the rest.
            messages: The conversation.
            media: Items to send with it.
            api_key: A key for this call.
            **kwargs: Parameters and local options.

        Raises:
            UnsupportedFeatureError: It cannot be asked.
            CallerError: Something of the call cannot work.
            ProviderError: The back-end, or the way to it, failed.
        """
        options, members = split_options(kwargs)
        request = parse_call(self._model(model), messages, await asyncio.to_thread(load_media, media), members)
        return await self.count(request, api_key=api_key, options=options)

    async def count(
        self, request: Request, *, api_key: str | Secret | None = None, options: CallOptions | None = None
    ) -> int:
        """Ask the back-end how many tokens a typed request has; raises as :meth:`count_tokens`.

        Args:
            request: The request.
            api_key: A key for this call.
            options: The local options of the call.
        """
        render = self.dialect.render_token_count
        # in a thread where it may take its time, as in _render
        large = _is_large(request)
        rendered = await asyncio.to_thread(render, request, Receipts()) if large else render(request, Receipts())
        if rendered is None:
            raise UnsupportedFeatureError(f"{self.name} does not count tokens", "its usage tells after an answer")
        spec = await self._signed(rendered, self._spec(self._key_for(api_key)))
        return self.dialect.parse_token_count(
            await self.fetch(
                "POST", rendered.path, spec=spec, body=rendered.body, query=rendered.query, options=options
            )
        )

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        spec: BackendSpec | None = None,
        body: Body | None = None,
        query: Mapping[str, str] = {},
        options: CallOptions | None = None,
        headers: Mapping[str, str] = {},
        max_bytes: int = 64 * 1024 * 1024,
    ) -> bytes:
        """Make a request with one answer and return its body.

        Args:
            method: Its method.
            path: What to append to the back-end's URL; a whole URL within its origin is taken as it is.
            spec: Where the back-end is; ``None`` for this one with its own key.
            body: The request's body.
            query: Parameters of the URL.
            options: The local options of the call; ``None`` for a deadline of one minute.
            headers: Further header fields.
            max_bytes: Cap of the answer (default 64 MiB).

        Raises:
            ProviderError: The back-end, or the way to it, failed.
        """
        async with await self.ask(
            method, path, spec=spec, body=body, query=query, options=options, headers=headers
        ) as response:
            blocks, size = [], 0
            while block := await response.read_block():
                response.note_content()
                blocks.append(block)
                size += len(block)
                if size > max_bytes:
                    raise TooLargeError("answer", max_bytes)
            return b"".join(blocks)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        spec: BackendSpec | None = None,
        body: Body | None = None,
        query: Mapping[str, str] = {},
        options: CallOptions | None = None,
        headers: Mapping[str, str] = {},
    ) -> StreamResponse:
        """Make a request and return its answer, not yet read; arguments as :meth:`fetch` takes them.

        Raises:
            ProviderError: The back-end refused, or the way to it failed.
        """
        spec = spec or self._spec(self._key_for(None))
        options = options or CallOptions(deadlines=FETCH_DEADLINES)
        fields = [*spec.headers.items(), *headers.items(), *options.extra_headers.items()]
        session = StreamSession(ssl=spec.ssl, proxy=options.proxy, deadlines=options.deadlines)
        sent: dict[str, Any] = {"Accept": "application/json", **dict(fields)}
        if body is not None and "content-type" not in {name.lower() for name in sent}:
            sent["Content-Type"] = "application/json"
        url = path if path.startswith(("http://", "https://")) else spec.url + path
        sent_query = {**query, **options.extra_query}
        with blotting(secrets_of(fields, sent_query)):
            response = await session.request(
                method, url, data=body, headers=sent, params=sent_query, on_progress=options.on_progress
            )
            if not response.ok:
                raise reread(await response.refusal(), response, self.dialect.parse_error)
        return response


def _is_large(request: Request) -> bool:
    parts = (part for turn in request.turns for part in turn.parts)
    texts = (part.text if isinstance(part, TextPart) else getattr(part, "data", None) or "" for part in parts)
    return sum(map(len, texts)) + _TURN_CHARACTERS * len(request.turns) > _LARGE_CHARACTERS
