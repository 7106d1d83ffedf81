"""The calls of one round, run at the same time and within limits. Knows no back-end and no conversation."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from backstream.errors import ConfigurationError, DecodeError
from backstream.schema.types import encode_hook
from backstream.tools.function import FunctionTool

__all__ = ["ToolCall", "ToolLimits", "ToolOutcome", "render_result", "run_calls"]

_LONGEST_ERROR = 500


class ToolCall(Protocol):
    """What a call of a tool must have; :class:`backstream.request.parts.ToolCallPart` has it."""

    @property
    def id(self) -> str:
        """The call's id."""
        ...

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def arguments(self) -> str:
        """The arguments, as the JSON text the model wrote."""
        ...


class ToolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a model may go with tools.

    Attributes:
        max_rounds: Answers with calls in them, before the conversation is handed back as it is. Default 8.
        max_calls: Calls in one round; the model is told that those above it were not run. Default 64.
        max_parallel: Calls at the same time. Default 8.
        round_seconds: For all calls of one round, waiting for their turn included; ``None`` for no limit. Default 60.
        total_seconds: For all rounds, the model's answers included; ``None`` for no limit. Default none.
        max_result_bytes: Of one result's text, in UTF-8; more is cut off, and the model told so. Default 256 KiB.
    """

    max_rounds: int = 8
    max_calls: int = 64
    max_parallel: int = 8
    round_seconds: float | None = 60.0
    total_seconds: float | None = None
    max_result_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            kind = int | float | None if name.endswith("_seconds") else int
            if isinstance(value, bool) or not isinstance(value, kind) or (value is not None and not value > 0):
                raise ConfigurationError(f"tool limit {name}={value!r} is no positive number")


class ToolOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call.

    Attributes:
        call_id: The id of the call.
        name: The tool's name, as the model wrote it.
        content: The text to tell the model: the result, or what went wrong.
        is_error: Whether something went wrong.
        seconds: How long the tool ran; 0 where it did not.
    """

    call_id: str
    name: str
    content: str
    is_error: bool = False
    seconds: float = 0.0


async def run_calls(
    calls: Sequence[ToolCall],
    tools: Mapping[str, FunctionTool],
    limits: ToolLimits | None = None,
    *,
    seconds: float | None = None,
) -> list[ToolOutcome]:
    """Run the calls of one answer at the same time.

    Whatever goes wrong in a call (no such tool, wrong arguments, an exception, no time left) becomes an outcome for
    the model and does not touch the other calls. Cancelling this cancels them all; a tool that is no coroutine goes on
    in its thread.

    Args:
        calls: The calls.
        tools: The tools by name, as ``collect_tools`` returns them.
        limits: Default those of :class:`ToolLimits`.
        seconds: What is left of ``total_seconds``, where that is less than ``round_seconds``.

    Returns:
        One outcome for each call, in their order.
    """
    limits = limits or ToolLimits()
    loop = asyncio.get_running_loop()
    allowed = [limit for limit in (limits.round_seconds, seconds) if limit is not None]
    deadline = loop.time() + min(allowed) if allowed else None
    turns = asyncio.Semaphore(limits.max_parallel)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_run_one(call, tools, limits, deadline, turns), name=f"backstream tool {call.name[:40]}")
            for call in calls[: limits.max_calls]
        ]
    too_many = f"not run: more than {limits.max_calls} calls at once"
    rest = calls[limits.max_calls :]
    return [task.result() for task in tasks] + [_failed(call, too_many) for call in rest]


def _failed(call: ToolCall, problem: str, seconds: float = 0.0) -> ToolOutcome:
    return ToolOutcome(call_id=call.id, name=call.name, content=problem, is_error=True, seconds=seconds)


async def _run_one(
    call: ToolCall,
    tools: Mapping[str, FunctionTool],
    limits: ToolLimits,
    deadline: float | None,
    turns: asyncio.Semaphore,
) -> ToolOutcome:
    tool = tools.get(call.name)
    if tool is None:
        return _failed(call, _unknown(call.name, tools))
    loop = asyncio.get_running_loop()
    started: float | None = None
    clock = asyncio.timeout_at(deadline)
    try:
        async with clock, turns:
            started = loop.time()
            try:
                arguments = tool.parse_arguments(call.arguments)
            except DecodeError as error:
                return _failed(call, error.problem)
            result = await tool.call(arguments)
        content = _cut(render_result(result), limits.max_result_bytes)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        problem = _line(error)  # the tool's own doing: nobody cancelled us
    except Exception as error:  # noqa: BLE001  # the task's edge: whatever a tool raises is told to the model
        problem = _line(error)
        if clock.expired():
            problem = "the tool was not over in time" if started is not None else "not run: no time was left"
    else:
        return ToolOutcome(call_id=call.id, name=call.name, content=content, seconds=loop.time() - started)
    return _failed(call, problem, 0.0 if started is None else loop.time() - started)


def _unknown(name: str, tools: Mapping[str, FunctionTool]) -> str:
    nearest = difflib.get_close_matches(name[:200], list(tools), n=3, cutoff=0.5)
    known = nearest or list(tools)[:20]
    hint = f"did you mean {', '.join(nearest)}?" if nearest else f"there are: {', '.join(known) or 'none'}"
    return f"unknown tool {name[:80]!r}; {hint}"


def _line(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an exception that cannot say what it is must not end the round
        text = ""
    folded = " ".join(text[: 16 * _LONGEST_ERROR].split())
    said = f"{type(error).__name__}: {folded}" if folded else type(error).__name__
    return said if len(said) <= _LONGEST_ERROR else said[: _LONGEST_ERROR - 1] + "…"


def _cut(text: str, most_bytes: int) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size <= most_bytes:
        return text
    kept = text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")
    return f"{kept}\n[cut off: {most_bytes} of {size} bytes]"


def render_result(result: Any) -> str:
    """Say what a tool returned, for the model: text as it is, ``None`` as nothing, anything else as JSON.

    Raises:
        TypeError: It has no JSON form; bytes have none either (in base64 a model cannot read them).
    """
    if result is None:
        return ""
    if isinstance(result, str):
        return result
    if isinstance(result, bytes | bytearray | memoryview):
        raise TypeError("the tool returned bytes, which are no text")
    try:
        return msgspec.json.encode(result, enc_hook=_encode).decode()
    except NotImplementedError as error:
        raise TypeError(f"the tool returned a {type(result).__name__}, which has no JSON form") from error


def _encode(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else encode_hook(value)
