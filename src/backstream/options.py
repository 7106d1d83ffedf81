"""Options that act on this side and never travel: deadlines, proxy, limits, progress, recovery.

The list is closed: every other keyword of a call goes into the request body. Pure values; the clocks run in
``transport``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from backstream.errors import ConfigurationError
from backstream.request.receipts import Policy

__all__ = [
    "LOCAL_KEYWORDS",
    "RECOVERY_KEYWORDS",
    "CallOptions",
    "Deadlines",
    "MidStreamPolicy",
    "Progress",
    "Recovery",
    "parse_timeout",
    "recovery_changes",
    "split_options",
]

Progress = Callable[[int, int | None], None]
"""Called as ``on_progress(sent_bytes, total_bytes)`` while a request body goes out; ``total_bytes`` may be ``None``."""

MEBIBYTE = 1024 * 1024


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long each stage of one call may take, in seconds; ``None`` lets it take for ever.

    Keep-alive comments and pings feed ``idle`` only; ``first_content`` and ``between_content`` wait for real content.
    Each expiry raises its own error, named after the clock.

    Attributes:
        connect: Name look-up, connection, proxy and TLS handshake. Default 10.
        headers: From the request being sent to the whole answer head. Default none: models may think first.
        first_content: From the request being sent to the first content. Default none, for the same reason.
        between_content: From one content to the next. Default none.
        total: The whole call. Default none.
        idle: No byte at all from the back-end. Default 600, so that a dead connection does not hang for ever.
    """

    connect: float | None = 10.0
    headers: float | None = None
    first_content: float | None = None
    between_content: float | None = None
    total: float | None = None
    idle: float | None = 600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if seconds is None:
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise ConfigurationError(
                    f"deadline {name}={seconds!r} is no positive number of seconds", "use None for no deadline"
                )


def parse_timeout(timeout: float | tuple[float | None, float | None] | Deadlines | None) -> Deadlines:
    """Read the short form of deadlines.

    Args:
        timeout: Seconds without a byte (``idle``); a pair (``connect``, ``idle``); ``None`` or 0 for no ``idle``; or
            :class:`Deadlines` as they are.

    Raises:
        ConfigurationError: Anything else.
    """
    if isinstance(timeout, Deadlines):
        return timeout
    if isinstance(timeout, tuple):
        if len(timeout) != 2:
            raise ConfigurationError("timeout is a tuple of other than two", "use (connect, idle) in seconds")
        return Deadlines(connect=timeout[0] or None, idle=timeout[1] or None)
    return Deadlines(idle=timeout or None)


MidStreamPolicy: TypeAlias = Literal["fail", "restart", "continue", "whole"]
"""What happens when an answer breaks after its first content."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a call may do to survive trouble.

    Attributes:
        retries: How often the same route is asked again before its first content, for transient causes. 0 to 10,
            default 2.
        switch_after: Seconds without content after which a route is left for the next one, while one is left. Default
            10; ``None`` never leaves a silent route.
        hedge_after: Seconds without content after which the second route is asked too, and the first to speak is kept.
            Default ``None``: never.
        mid_stream: What happens when an answer breaks after its first content. Default ``fail``.
        max_concurrent: How many answers of one route may run at once. Default ``None``: any number.
        requests_per_minute: How many requests to one route may begin within a minute. Default ``None``: any number.
        breaker_failures: After how many failures in a row a route rests. Default 3; ``None`` never rests one.
        breaker_seconds: How long it rests before one call may try it again. Default 15.
    """

    retries: int = 2
    switch_after: float | None = 10.0
    hedge_after: float | None = None
    mid_stream: MidStreamPolicy = "fail"
    max_concurrent: int | None = None
    requests_per_minute: int | None = None
    breaker_failures: int | None = 3
    breaker_seconds: float = 15.0

    def __post_init__(self) -> None:
        if type(self.retries) is not int or not 0 <= self.retries <= 10:
            raise ConfigurationError(f"recovery retries={self.retries!r} is no whole number from 0 to 10")
        for name in ("max_concurrent", "requests_per_minute", "breaker_failures"):
            number = getattr(self, name)
            if number is not None and (type(number) is not int or number < 1):
                raise ConfigurationError(f"recovery {name}={number!r} is no whole number above 0", "use None for none")
        for name in ("switch_after", "hedge_after", "breaker_seconds"):
            seconds = getattr(self, name)
            if seconds is None and name != "breaker_seconds":
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise ConfigurationError(f"recovery {name}={seconds!r} is no positive number of seconds")
        if self.mid_stream not in _POLICIES:
            raise ConfigurationError(
                f"recovery mid_stream={self.mid_stream!r} is no policy", "use one of " + ", ".join(_POLICIES)
            )


_POLICIES = get_args(MidStreamPolicy)


class CallOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The local options of one call. ``timeout``, and all but the caps, are keywords of a call too.

    Attributes:
        deadlines: See :class:`Deadlines`.
        proxy: ``http://``, ``https://`` or ``socks5://`` URL, with ``user:password@`` where needed; ``None`` takes the
            environment's, ``""`` takes none. Loopback addresses are never reached through a proxy.
        on_progress: See :data:`Progress`.
        max_line_bytes: Cap on one line of the answer. Default 32 MiB.
        max_event_bytes: Cap on one event of the answer. Default 32 MiB.
        extra_headers: Header fields to add to the request, or to replace ours.
        extra_query: Query parameters to add to the URL.
        extra_body: Members to add to the JSON body, also ones with the name of a local option.
        receipts: What to do about a parameter the back-end has no words for: ``strict`` raises, ``warn`` logs it,
            ``drop`` only notes it on the reply. ``None`` takes the client's setting, by default ``warn``.
    """

    deadlines: Deadlines = Deadlines()
    proxy: str | None = None
    on_progress: Progress | None = None
    max_line_bytes: int = 32 * MEBIBYTE
    max_event_bytes: int = 32 * MEBIBYTE
    extra_headers: Mapping[str, str] = {}
    extra_query: Mapping[str, str] = {}
    extra_body: Mapping[str, Any] = {}
    receipts: Policy | None = None

    def __repr__(self) -> str:
        return f"<CallOptions deadlines={self.deadlines!r} proxy={'set' if self.proxy else 'unset'}>"


_PLAIN = ("proxy", "on_progress", "extra_headers", "extra_query", "extra_body", "receipts")

RECOVERY_KEYWORDS: Final = frozenset({"recovery", "retries", "switch_after", "hedge_after", "mid_stream"})
"""Keywords of a call of the client that say what it may do to survive trouble."""

LOCAL_KEYWORDS = frozenset({"options", "deadlines", "timeout", "stream_timeout", *_PLAIN}) | RECOVERY_KEYWORDS
"""Keywords of a call that act here and never go into the body."""


def recovery_changes(keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the short keywords of a call change about a :class:`Recovery`.

    Args:
        keywords: The call's; ``None`` for ``retries`` or ``mid_stream`` says nothing.

    Raises:
        ConfigurationError: ``recovery`` is something else.
    """
    if not isinstance(keywords.get("recovery"), Recovery | None):
        raise ConfigurationError("recovery is no Recovery object", "pass Recovery(…), or retries=, mid_stream=, …")
    given = {name: keywords[name] for name in RECOVERY_KEYWORDS - {"recovery"} if name in keywords}
    never = {"switch_after", "hedge_after"}
    return {name: value for name, value in given.items() if value is not None or name in never}


def split_options(keywords: Mapping[str, Any]) -> tuple[CallOptions, dict[str, Any]]:
    """Split the keywords of a call into local options and members of the body.

    ``deadlines`` wins over ``timeout``; both win over those of ``options``.

    Raises:
        ConfigurationError: A local option of the wrong type; or one of a call that may be repeated.
    """
    for name in sorted(RECOVERY_KEYWORDS & keywords.keys()):
        raise ConfigurationError(f"{name} is for a Client: what was called here asks once", "call Client().stream(…)")
    body = {name: value for name, value in keywords.items() if name not in LOCAL_KEYWORDS}
    options = keywords.get("options") or CallOptions()
    if not isinstance(options, CallOptions):
        raise ConfigurationError(f"options is a {type(options).__name__}", "pass CallOptions(…)")
    changes: dict[str, Any] = {}
    for name in ("stream_timeout", "timeout"):
        if name in keywords:
            changes["deadlines"] = parse_timeout(keywords[name])
    if keywords.get("deadlines") is not None:
        if not isinstance(keywords["deadlines"], Deadlines):
            raise ConfigurationError("deadlines is no Deadlines object", "pass Deadlines(…), or timeout=seconds")
        changes["deadlines"] = keywords["deadlines"]
    for name in _PLAIN:
        if keywords.get(name) is not None:
            changes[name] = keywords[name]
    if not callable(changes.get("on_progress", print)):
        raise ConfigurationError("on_progress cannot be called", "pass a function of (sent_bytes, total_bytes)")
    for name in ("extra_headers", "extra_query", "extra_body"):
        if not isinstance(changes.get(name, {}), Mapping):
            raise ConfigurationError(f"{name} is a {type(changes[name]).__name__}", "pass a dict")
    if changes.get("receipts") not in (None, *get_args(Policy)):
        raise ConfigurationError("receipts is none of " + ", ".join(get_args(Policy)))
    return (msgspec.structs.replace(options, **changes) if changes else options), body
