"""backstream: an asynchronous streaming client, and gateway, for language-model back-ends.

The public names, and nothing else. Each is imported when first used, so that ``import backstream`` stays cheap.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from backstream._version import __version__

if TYPE_CHECKING:
    from backstream.chunks import (
        AuthEvent,
        Citation,
        Content,
        Continue,
        Conversation,
        ErrorEvent,
        Finish,
        Log,
        Login,
        Logprobs,
        Media,
        Notice,
        OpenResponse,
        Parameters,
        PartEnd,
        PartStart,
        Preview,
        ProviderInfo,
        RawResponse,
        Reasoning,
        Refusal,
        Start,
        Suggestions,
        Switched,
        Synthesize,
        Title,
        ToolCallDelta,
        ToolCalls,
        UpstreamHeaders,
        UpstreamRequest,
        UpstreamResponse,
        Usage,
        Variant,
    )
    from backstream.client import ChatStream, Client, SyncClient, SyncStream
    from backstream.credentials import Secret
    from backstream.errors import (
        AuthenticationError,
        BackendRequestError,
        BackstreamError,
        BatchError,
        BetweenContentTimeout,
        CallerError,
        ConfigurationError,
        ConnectError,
        ConnectTimeout,
        ContentRefusedError,
        ContentTypeError,
        DeadlineError,
        DecodeError,
        DisconnectedError,
        FirstContentTimeout,
        FramingError,
        HeadersTimeout,
        IdleTimeout,
        IncompleteStream,
        InvalidMediaError,
        InvalidRequestError,
        MissingKeyError,
        MisuseError,
        ModelNotFoundError,
        PaymentError,
        ProtocolError,
        ProviderError,
        ProxyError,
        RateLimitError,
        RedirectError,
        RefusedError,
        TLSError,
        TooLargeError,
        TotalTimeout,
        UnavailableError,
        UnknownModelError,
        UnknownProviderError,
        UnsupportedFeatureError,
    )
    from backstream.messages import ImageType, MediaListType, Message, Messages
    from backstream.models import ModelInfo, Price
    from backstream.options import CallOptions, Deadlines, Recovery
    from backstream.providers.backend_api import BackendApi
    from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin
    from backstream.providers.dialect_provider import DialectProvider
    from backstream.providers.echo import Echo
    from backstream.providers.recorder import FlightRecorder
    from backstream.providers.result import AsyncResult
    from backstream.providers.rows_shape import Row
    from backstream.registry.registry import Registry
    from backstream.reply import Cost, End, RateLimit, Reply, Service, fold
    from backstream.request import Receipt
    from backstream.services import Embeddings, Images, Speech, Transcript
    from backstream.sync import sync_iter
    from backstream.tools import FunctionTool, ToolLimits, tool
    from backstream.transport.media import to_data_uri
    from backstream.transport.session import StreamResponse, StreamSession

__all__ = [
    "AsyncGeneratorProvider",
    "AsyncResult",
    "AuthEvent",
    "AuthenticationError",
    "BackendApi",
    "BackendRequestError",
    "BackstreamError",
    "BatchError",
    "BetweenContentTimeout",
    "CallOptions",
    "CallerError",
    "ChatStream",
    "Citation",
    "Client",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "Content",
    "ContentRefusedError",
    "ContentTypeError",
    "Continue",
    "Conversation",
    "Cost",
    "DeadlineError",
    "Deadlines",
    "DecodeError",
    "DialectProvider",
    "DisconnectedError",
    "Echo",
    "Embeddings",
    "End",
    "ErrorEvent",
    "Finish",
    "FirstContentTimeout",
    "FlightRecorder",
    "FramingError",
    "FunctionTool",
    "HeadersTimeout",
    "IdleTimeout",
    "ImageType",
    "Images",
    "IncompleteStream",
    "InvalidMediaError",
    "InvalidRequestError",
    "Log",
    "Login",
    "Logprobs",
    "Media",
    "MediaListType",
    "Message",
    "Messages",
    "MissingKeyError",
    "MisuseError",
    "ModelInfo",
    "ModelNotFoundError",
    "Notice",
    "OpenResponse",
    "Parameters",
    "PartEnd",
    "PartStart",
    "PaymentError",
    "Preview",
    "Price",
    "ProtocolError",
    "ProviderError",
    "ProviderInfo",
    "ProviderModelMixin",
    "ProxyError",
    "RateLimit",
    "RateLimitError",
    "RawResponse",
    "Reasoning",
    "Receipt",
    "Recovery",
    "RedirectError",
    "Refusal",
    "RefusedError",
    "Registry",
    "Reply",
    "Row",
    "Secret",
    "Service",
    "Speech",
    "Start",
    "StreamResponse",
    "StreamSession",
    "Suggestions",
    "Switched",
    "SyncClient",
    "SyncStream",
    "Synthesize",
    "TLSError",
    "Title",
    "TooLargeError",
    "ToolCallDelta",
    "ToolCalls",
    "ToolLimits",
    "TotalTimeout",
    "Transcript",
    "UnavailableError",
    "UnknownModelError",
    "UnknownProviderError",
    "UnsupportedFeatureError",
    "UpstreamHeaders",
    "UpstreamRequest",
    "UpstreamResponse",
    "Usage",
    "Variant",
    "__version__",
    "fold",
    "sync_iter",
    "to_data_uri",
    "tool",
]

_HOMES = {
    "chunks": (
        "AuthEvent Citation Content Continue Conversation ErrorEvent Finish Log Login Logprobs Media Notice "
        "OpenResponse Parameters PartEnd PartStart Preview ProviderInfo RawResponse Reasoning Refusal Start "
        "Suggestions Switched Synthesize Title ToolCallDelta ToolCalls UpstreamHeaders UpstreamRequest "
        "UpstreamResponse Usage Variant"
    ),
    "credentials": "Secret",
    "errors": (
        "AuthenticationError BackendRequestError BackstreamError BatchError BetweenContentTimeout CallerError "
        "ConfigurationError ConnectError ConnectTimeout ContentRefusedError ContentTypeError DeadlineError DecodeError "
        "DisconnectedError FirstContentTimeout FramingError HeadersTimeout IdleTimeout IncompleteStream "
        "InvalidMediaError InvalidRequestError MissingKeyError MisuseError ModelNotFoundError PaymentError "
        "ProtocolError ProviderError ProxyError RateLimitError RedirectError RefusedError TLSError TooLargeError "
        "TotalTimeout UnavailableError UnknownModelError UnknownProviderError UnsupportedFeatureError"
    ),
    "messages": "ImageType MediaListType Message Messages",
    "options": "CallOptions Deadlines Recovery",
    "providers.backend_api": "BackendApi",
    "providers.base": "AsyncGeneratorProvider ProviderModelMixin",
    "providers.echo": "Echo",
    "providers.recorder": "FlightRecorder",
    "providers.result": "AsyncResult",
    "reply": "Cost End RateLimit Reply Service fold",
    "sync": "sync_iter",
    "transport.media": "to_data_uri",
    "transport.session": "StreamResponse StreamSession",
    "client": "ChatStream Client SyncClient SyncStream",
    "models": "ModelInfo Price",
    "providers.dialect_provider": "DialectProvider",
    "providers.rows_shape": "Row",
    "registry.registry": "Registry",
    "request": "Receipt",
    "services": "Embeddings Images Speech Transcript",
    "tools": "FunctionTool ToolLimits tool",
}
# a library leaves it to the program whether, and where, anything is logged
logging.getLogger("backstream").addHandler(logging.NullHandler())

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'backstream' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"backstream.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
