"""The client without ``async``: the same one behind it, on the background loop of :mod:`backstream.sync`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Self

from backstream.chunks import RawResponse
from backstream.client.call import Models
from backstream.client.client import Client
from backstream.client.stream import ChatStream
from backstream.messages import ImageType, Messages
from backstream.models import ModelInfo
from backstream.options import Deadlines, Recovery
from backstream.providers.recorder import FlightRecorder
from backstream.registry.config import Config
from backstream.registry.registry import Registry
from backstream.reply import End, Reply, Service
from backstream.request import Policy, Receipt
from backstream.resilience.states import RouteSnapshot
from backstream.sync import run, sync_iter

__all__ = ["SyncClient", "SyncStream"]


class SyncStream(Iterator[RawResponse]):
    """An answer, as an iterator of chunks; see :class:`backstream.client.stream.ChatStream`.

    ``with`` closes it for sure; so do the end of the loop, and collection.
    """

    __slots__ = ("_chunks", "_stream")

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._chunks: Iterator[RawResponse] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RawResponse:
        if self._chunks is None:
            self._chunks = sync_iter(self._stream)
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the answer and close its connection. Harmless when repeated, or after the end."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        run(self._stream.aclose())

    def cancel(self) -> None:
        """Stop the answer now, from any thread; who iterates over it finds it over, without an error."""
        self._stream.cancel()

    def wait(self) -> Reply:
        """Read the answer to its end and return what it adds up to; raises as the asynchronous one."""
        for _ in self:
            pass
        return self.reply

    @property
    def end(self) -> End | None:
        """How the stream ended; ``None`` while it runs."""
        return self._stream.end

    @property
    def route(self) -> str:
        """Who answers, as ``provider/model``; ``""`` before the answer began."""
        return self._stream.route

    @property
    def reply(self) -> Reply:
        """What the chunks add up to, once the answer is over."""
        return self._stream.reply

    @property
    def history(self) -> list[dict[str, Any]]:
        """The messages to add for the next turn."""
        return self._stream.history

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What became of each parameter of the request."""
        return self._stream.receipts

    @property
    def service(self) -> Service | None:
        """What the back-end's service said beside the answer."""
        return self._stream.service

    def __repr__(self) -> str:
        return repr(self._stream).replace("ChatStream", "SyncStream")


class SyncClient:
    """Talks to every provider there is a name for, without ``async``; see :class:`backstream.Client`.

    Works with or without a running event loop, which it blocks, as any synchronous call does.

    Args:
        config: As :class:`backstream.Client` takes it, like the rest.
        receipts: What to do about parameters a back-end has no words for.
        deadlines: The clocks of calls that name none.
        registry: Where names are looked up.
        environ: The environment.
    """

    def __init__(
        self,
        config: Config | str | PathLike[str] | None = None,
        *,
        receipts: Policy | None = None,
        deadlines: Deadlines | None = None,
        recovery: Recovery | None = None,
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self._client = Client(
            config,
            receipts=receipts,
            deadlines=deadlines,
            recovery=recovery,
            registry=registry,
            environ=environ,
            recorder=recorder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._client).replace("Client", "SyncClient")

    def close(self) -> None:
        """Close the answers that are still open; no call can follow."""
        run(self._client.aclose())

    def registry(self) -> Registry:
        """Return where names are looked up."""
        return run(self._client.registry())

    def routes(self) -> Sequence[RouteSnapshot]:
        """Return what is known of each route that was asked; see :meth:`backstream.Client.routes`."""
        return self._client.routes()

    def stream(self, model: Models, messages: Messages | str, **keywords: Any) -> SyncStream:
        """Start an answer; takes and raises what :meth:`backstream.Client.stream` does."""
        return SyncStream(self._client.stream(model, messages, **keywords))

    def chat(self, model: Models, messages: Messages | str, **keywords: Any) -> Reply:
        """Send a conversation and return the whole reply; see :meth:`backstream.Client.chat`."""
        return run(self._client.chat(model, messages, **keywords))

    def models(self, provider: str | None = None, *, refresh: bool = False) -> Sequence[ModelInfo]:
        """Return the models of one provider, or of all; see :meth:`backstream.Client.models`."""
        return run(self._client.models(provider, refresh=refresh))

    def count_tokens(self, model: str | None, messages: Messages | str, **keywords: Any) -> int:
        """Ask the back-end how many tokens a request has; see :meth:`backstream.Client.count_tokens`."""
        return run(self._client.count_tokens(model, messages, **keywords))

    def embed(self, model: str | None, input: str | Sequence[str], **keywords: Any) -> Any:  # noqa: A002 - OpenAI's name
        """Turn texts into vectors; see :meth:`backstream.Client.embed`."""
        return run(self._client.embed(model, input, **keywords))

    def images(self, model: str | None, prompt: str, **keywords: Any) -> Any:
        """Make or edit pictures; see :meth:`backstream.Client.images`."""
        return run(self._client.images(model, prompt, **keywords))

    def speech(self, model: str | None, text: str, **keywords: Any) -> Any:
        """Speak a text; see :meth:`backstream.Client.speech`."""
        return run(self._client.speech(model, text, **keywords))

    def transcribe(self, model: str | None, audio: ImageType, **keywords: Any) -> Any:
        """Write down what is said; see :meth:`backstream.Client.transcribe`."""
        return run(self._client.transcribe(model, audio, **keywords))
