"""What a model says, in the bytes of one dialect, taken apart so that a fault can be put between them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from backstream.chunks import Content, Finish, RawResponse, Start, Usage
from backstream.dialects.base import Dialect, Envelope
from backstream.errors import (
    AuthenticationError,
    BackendRequestError,
    BackstreamError,
    ModelNotFoundError,
    RateLimitError,
    RefusedError,
    UnavailableError,
)
from backstream.reply import End
from backstream.request import Request

__all__ = ["Answer", "render_answer", "render_refusal", "streams"]

_SLICES: Final = 13
_KINDS: Final[dict[int, type[RefusedError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    408: UnavailableError,
    409: UnavailableError,
    425: UnavailableError,
    429: RateLimitError,
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        content_type: What it calls itself.
        begin: What comes before the text.
        pieces: The text, an event each; of a whole answer slices of its JSON.
        ending: The words for done.
        last: The last event of those.
        keep_alive: What may stand between events; of a whole answer nothing.
        failure: The dialect's error event; of a whole answer the refusal's body.
        is_lines: Whether events are lines of JSON.
        is_stream: Whether it is streamed.
    """

    content_type: str
    begin: bytes
    pieces: tuple[bytes, ...]
    ending: bytes
    last: bytes
    keep_alive: bytes
    failure: bytes
    is_lines: bool
    is_stream: bool

    def event(self, data: bytes) -> bytes:
        """Return an event with these data."""
        if not self.is_stream:
            return data
        return data + b"\n" if self.is_lines else b"data: " + data + b"\n\n"


def streams(dialect: Dialect, request: Request) -> bool:
    """Tell whether a request is answered with a stream; in the backend-api all are."""
    return request.stream or dialect.name == "backend_api"


def render_answer(dialect: Dialect, envelope: Envelope, texts: Sequence[str]) -> Answer:
    """Render an answer.

    Args:
        dialect: The client's.
        envelope: What is said of the answer; a limit of tokens in its request ends the text, a piece being a token.
        texts: The pieces of the text.
    """
    limit = envelope.request.max_tokens
    said = list(texts if limit is None else texts[:limit])
    counts = {"prompt_tokens": 2, "completion_tokens": len(said), "total_tokens": 2 + len(said)}
    done: list[RawResponse | End] = [
        Finish(finish={"reason": "stop" if len(said) == len(texts) else "length"}),
        Usage(usage=counts),
        End("complete", ("finish",)),
    ]
    if not streams(dialect, envelope.request):
        return _whole(dialect.render_reply([*map(_content, said), *done], envelope), dialect)
    renderer = dialect.stream_renderer(envelope)
    begin = renderer.render([Start(model=envelope.model)])
    pieces = tuple(renderer.render([_content(text)]) for text in said)
    ending = renderer.render(done)
    is_lines = "json" in renderer.content_type
    return Answer(
        content_type=renderer.content_type,
        begin=begin,
        pieces=pieces,
        ending=ending,
        last=_last_event(ending, is_lines=is_lines),
        keep_alive=renderer.keep_alive or b"\n",
        failure=dialect.stream_renderer(envelope).render([End("failed", ("chaos",), _failure(None))]),
        is_lines=is_lines,
        is_stream=True,
    )


def render_refusal(dialect: Dialect, status: int) -> bytes:
    """Render the body of a refusal."""
    return dialect.render_error(_failure(status))[1]


def _whole(body: bytes, dialect: Dialect) -> Answer:
    size = max(len(body) // _SLICES, 1)
    slices = [body[start : start + size] for start in range(0, len(body), size)]
    return Answer(
        content_type="application/json",
        begin=b"",
        pieces=tuple(slices[:-1]),
        ending=slices[-1],
        last=slices[-1],
        keep_alive=b"",
        failure=render_refusal(dialect, 500),
        is_lines=False,
        is_stream=False,
    )


def _content(text: str) -> Content:
    return Content(content=text)


def _last_event(ending: bytes, *, is_lines: bool) -> bytes:
    events = ending.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n" if is_lines else b"\n\n")
    return ending[ending.rindex(events[-1][:20]) :]


def _failure(status: int | None) -> BackstreamError:
    problem = "chaos was asked to fail"
    if status is None or status >= 500:
        return UnavailableError(problem, status=status)
    return _KINDS.get(status, BackendRequestError)(problem, status=status)
