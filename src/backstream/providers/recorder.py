"""The flight recorder: the last streams as they came, for when one went wrong. Off unless it is asked for.

Requests are not recorded: not their heads, not their bodies. Knows no dialect.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import logging
import os
import re
import secrets as chance
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import msgspec

from backstream.errors import ConfigurationError, ProviderError
from backstream.options import MEBIBYTE
from backstream.providers.recorder_file import Ended, Recording, make_folder, prune, write
from backstream.providers.recorder_filler import blot_secrets, fill, scramble_keys
from backstream.transport.response import StreamResponse

__all__ = [
    "FOLDER_VARIABLE",
    "FlightRecorder",
    "StreamLabel",
    "TapedResponse",
    "current_recorder",
    "recorded_by",
    "recorder_at",
]

FOLDER_VARIABLE: Final = "BACKSTREAM_RECORD"
"""The environment variable that turns recording on: it names the folder."""

_LOGGER: Final = logging.getLogger("backstream.providers.recorder")
_STREAM_BYTES: Final = 8 * MEBIBYTE  # of one stream
_RUNNING_BYTES: Final = 64 * MEBIBYTE  # of all that run, or wait to be written
_WAITING: Final = 256
_PAUSE_SECONDS: Final = 0.0005  # lets the loop's thread have the interpreter
_HARMLESS: Final = re.compile(
    "cache-control|connection|content-(?:encoding|length|type)|date|keep-alive|retry-after(?:-ms)?|server"
    "|transfer-encoding|x-accel-buffering|openai-(?:processing-ms|version)|.*ratelimit.*",
    re.IGNORECASE,
)


class StreamLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a stream beside its bytes.

    Attributes:
        dialect: How the back-end is spoken to.
        quirks: What is odd about it.
        model: The model that was asked for.
        streamed: Whether a stream was asked for.
    """

    dialect: str
    quirks: Mapping[str, Any] = {}
    model: str | None = None
    streamed: bool = True


class _Tape:
    """What has come of one stream."""

    __slots__ = ("began_at", "head", "over", "reads", "secrets", "size", "truncated")

    def __init__(self, head: Recording, secrets: Sequence[str]) -> None:
        self.head = head
        self.secrets = secrets
        self.began_at = time.monotonic()
        self.reads: list[tuple[float, bytes]] = []
        self.size = 0
        self.truncated = False
        self.over = False


class FlightRecorder:
    """Keeps the last streams in a folder, for ``backstream replay``.

    Writing happens in a thread, and never holds a stream up. What cannot be written turns the recorder off, with one
    warning.

    Args:
        folder: Where; made for this user only.
        keep: How many streams. Default 50.
        max_bytes: How many bytes all of them may have. Default 64 MiB. Of one stream 8 MiB are kept.
        content: Whether to keep what is said. Default no: text becomes filler of the same size; what stays are framing,
            structure, sizes, times, codes and counts. Keys are taken out either way.

    Attributes:
        folder: Where they are.
        on: Whether it records; ``False`` after something could not be written.

    Raises:
        ConfigurationError: ``keep`` or ``max_bytes`` is not positive.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        keep: int = 50,
        max_bytes: int = 64 * MEBIBYTE,
        *,
        content: bool = False,
    ) -> None:
        if keep < 1 or max_bytes < 1:
            raise ConfigurationError("a recorder that keeps nothing", "leave it off")
        self.folder = Path(folder).expanduser()
        self.on = True
        self._keep = keep
        self._max_bytes = max_bytes
        self._content = content
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Tape, Recording]] = deque()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._held = 0

    def __repr__(self) -> str:
        return f"<FlightRecorder {self.folder} {'on' if self.on else 'off'}>"

    def record(
        self,
        response: StreamResponse,
        provider: str,
        path: str,
        label: StreamLabel,
        secrets: Callable[[], Iterable[str]],
    ) -> TapedResponse:
        """Return a response that notes what is read of it.

        Args:
            response: The answer, nothing of which has been read.
            provider: Who gave it.
            path: What was asked, below the base URL.
            label: What else is known of it.
            secrets: Gives the secrets of the request.
        """
        now = dt.datetime.now(dt.UTC)
        head = Recording(
            id=f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{chance.token_hex(3)}",
            recorded_at=now.isoformat(timespec="milliseconds"),
            provider=provider,
            path=path.partition("?")[0],
            status=response.status,
            headers=[(name, _harmless(name, value)) for name, value in response.headers.items()],
            framing=response.framing,
            content=self._content,
            **{name: getattr(label, name) for name in label.__struct_fields__},
        )
        return TapedResponse(response, self, _Tape(head, tuple(secrets())))  # now: a token may be another one later

    def note(self, tape: _Tape, data: bytes) -> None:
        """Note what was read."""
        if tape.truncated or not self.on:
            return
        with self._lock:
            if tape.size + len(data) > _STREAM_BYTES or self._held + len(data) > _RUNNING_BYTES:
                tape.truncated = True
                return
            tape.size += len(data)
            self._held += len(data)
        tape.reads.append((time.monotonic() - tape.began_at, data))

    def end(self, tape: _Tape, ended: Ended, error: ProviderError | None = None) -> None:
        """Say that a stream is over; what came is written, once. Safe in any thread."""
        with self._lock:
            if tape.over:
                return
            tape.over = True
            if not self.on or len(self._waiting) >= _WAITING:
                self._held -= tape.size
                return
            head = msgspec.structs.replace(
                tape.head,
                ended=ended,
                error=None if error is None else type(error).__name__,
                problem=None if error is None else error.problem,
                truncated=tape.truncated,
            )
            self._waiting.append((tape, head))
            if self._process != os.getpid():  # a forked process has none of its parent's threads
                self._process, self._thread = os.getpid(), None
            if self._thread is None:
                # no daemon: what was recorded last is written before the interpreter ends
                self._thread = threading.Thread(target=self._write_all, name="backstream-recorder", daemon=False)
                with contextlib.suppress(RuntimeError):  # the interpreter ends, and what was left with it
                    self._thread.start()

    def flush(self) -> None:
        """Wait until everything that is over has been written; blocks."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _write_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                tape, head = self._waiting.popleft()
            if self.on:
                try:
                    self._write(tape, head)
                except Exception as error:  # noqa: BLE001 - the thread's edge: no stream may suffer from being recorded
                    self.on = False
                    problem = error.strerror if isinstance(error, OSError) else type(error).__name__
                    _LOGGER.warning("recording is off: %s cannot be written (%s)", self.folder, problem)
            with self._lock:
                self._held -= tape.size

    def _write(self, tape: _Tape, head: Recording) -> None:
        known = tape.secrets
        body = blot_secrets(b"".join(data for _, data in tape.reads), known)
        salt = chance.token_bytes(16)
        if self._content:
            body = scramble_keys(body, salt)
        else:
            pieces = []
            for piece in fill(body, salt):
                pieces.append(piece)
                time.sleep(_PAUSE_SECONDS)
            body = b"".join(pieces)
        reads = [(int(seconds * 1e6), len(data)) for seconds, data in tape.reads]
        head = msgspec.structs.replace(head, reads=reads)
        head = msgspec.json.decode(blot_secrets(msgspec.json.encode(head), known), type=Recording)
        make_folder(self.folder)
        write(self.folder, head, body)
        prune(self.folder, self._keep, self._max_bytes)


class TapedResponse:
    """A response as :class:`backstream.providers.http_provider.HTTPSource` reads it, with somebody who takes notes."""

    __slots__ = ("_recorder", "_response", "_tape", "framing")

    def __init__(self, response: StreamResponse, recorder: FlightRecorder, tape: _Tape) -> None:
        self._response = response
        self._recorder = recorder
        self._tape = tape
        self.framing = response.framing

    async def read_block(self) -> bytes:
        """See :meth:`backstream.transport.response.StreamResponse.read_block`."""
        try:
            data = await self._response.read_block()
        except ProviderError as error:
            self._recorder.end(self._tape, "failed", error)
            raise
        if data:
            self._recorder.note(self._tape, data)
        else:
            if self.framing != self._response.framing:  # the end was waited for no longer
                self.framing = self._response.framing
                self._tape.head = msgspec.structs.replace(self._tape.head, framing=self.framing)
            self._recorder.end(self._tape, "end")
        return data

    async def pump(self, take: Callable[[bytes], bool]) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.pump`."""

        def take_and_note(data: bytes) -> bool:
            self._recorder.note(self._tape, data)
            return take(data)

        await self._response.pump(take_and_note)

    def note_content(self) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.note_content`."""
        self._response.note_content()

    def linger(self, *, on: bool = True) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.linger`."""
        self._response.linger(on=on)

    def leave(self) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.leave`."""
        self._recorder.end(self._tape, "end")
        self._response.leave()

    def abort(self) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.abort`."""
        self._response.abort()
        self._recorder.end(self._tape, "left")

    async def aclose(self) -> None:
        """See :meth:`backstream.transport.response.StreamResponse.aclose`."""
        await self._response.aclose()
        self._recorder.end(self._tape, "left")

    def __del__(self) -> None:
        tape = getattr(self, "_tape", None)
        if tape is not None and not tape.over:
            self._recorder.end(tape, "left")


def _harmless(name: str, value: str) -> str:
    return value if _HARMLESS.fullmatch(name) else "…"


# --- who records ------------------------------------------------------------------------------------------------------

_current: contextvars.ContextVar[FlightRecorder | None] = contextvars.ContextVar("backstream_recorder")
_recorders: dict[tuple[Path, int, int, bool], FlightRecorder] = {}


def recorder_at(
    folder: str | PathLike[str], keep: int = 50, max_bytes: int = 64 * MEBIBYTE, *, content: bool = False
) -> FlightRecorder:
    """Return the one recorder of this process with these settings; they are :class:`FlightRecorder`'s.

    Raises:
        ConfigurationError: As there.
    """
    settings = (Path(folder).expanduser().absolute(), keep, max_bytes, content)
    recorder = _recorders.get(settings)
    return recorder or _recorders.setdefault(settings, FlightRecorder(*settings[:3], content=content))


@contextlib.contextmanager
def recorded_by(recorder: FlightRecorder | None) -> Iterator[None]:
    """Have the streams that begin in the block, and in tasks that begin there, recorded; ``None`` for not."""
    token = _current.set(recorder)
    try:
        yield
    finally:
        _current.reset(token)


def current_recorder() -> FlightRecorder | None:
    """Return who records what begins now: who was said, else one for the folder that the environment names."""
    try:
        recorder = _current.get()
    except LookupError:
        folder = os.environ.get(FOLDER_VARIABLE)
        recorder = recorder_at(folder) if folder else None
    return recorder if recorder is not None and recorder.on else None
