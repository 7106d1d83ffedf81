"""What every provider must keep, as checks anybody can run on their own: the promise of a stream.

``check_provider`` runs them all; ``python -m pytest --pyargs backstream.testing.provider_checks
--backstream-provider=package:Name`` runs each as a test.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import msgspec

from backstream.chunks import Content, Finish, Media, RawResponse, Reasoning, Refusal, ToolCallDelta, ToolCalls
from backstream.errors import BackstreamError
from backstream.messages import MediaListType, Messages
from backstream.providers.base import blocks_of

__all__ = ["CHECKS", "ProviderCase", "check_provider"]

CANARY: Final = "canary-8d1f0a47-not-a-key"
_CONTENT: Final = (Content, Reasoning, ToolCallDelta, ToolCalls, Media, Refusal)
_SECONDS: Final = 30.0
_MOST_CHUNKS: Final = 100_000


class ProviderCase(msgspec.Struct, frozen=True, kw_only=True):
    """A provider and a call of it that it answers.

    Attributes:
        provider: The class or object.
        model: The model; ``""`` for its default.
        messages: The conversation.
        media: What to send with it; ``None`` where it takes none.
        keywords: Further parameters, an ``api_key`` among them where it needs one.
    """

    provider: Any
    model: str = ""
    messages: Messages = ({"role": "user", "content": "Say a few words."},)
    media: MediaListType = None
    keywords: Mapping[str, Any] = {}

    def start(self, messages: Messages | None = None, **keywords: Any) -> Any:
        """Start the call, with a copy of the messages unless others are given."""
        media = {} if self.media is None else {"media": self.media}
        asked = copy.deepcopy(list(self.messages)) if messages is None else messages
        return self.provider.create_async_generator(self.model, asked, **media, **{**self.keywords, **keywords})


async def _read(case: ProviderCase, most: int = _MOST_CHUNKS, **keywords: Any) -> list[RawResponse]:
    chunks: list[RawResponse] = []
    blocks = blocks_of(case.start(**keywords))
    try:
        async for block in blocks:
            chunks += block
            if len(chunks) >= most:
                break
    finally:
        await blocks.aclose()
    return chunks


async def _answers_in_chunks(case: ProviderCase) -> None:
    """It answers, and what it yields are chunks, dicts or text."""
    chunks = await _read(case)
    _hold(any(isinstance(chunk, _CONTENT) for chunk in chunks), "the answer holds nothing the model said")


async def _starts_nothing_before_it_is_asked(case: ProviderCase) -> None:
    """Calling it does not wait for the answer: it returns an asynchronous iterator, or an awaitable of one."""
    result = case.start()
    is_right = hasattr(result, "__aiter__") or inspect.isawaitable(result)
    _hold(is_right, f"create_async_generator returned a {type(result).__name__}")
    if inspect.iscoroutine(result):
        result.close()
    else:
        close: Any = getattr(result, "aclose", None)
        if close is not None:
            await close()


async def _ends_once(case: ProviderCase) -> None:
    """One finish at most, and nothing said after it."""
    chunks = await _read(case)
    finishes = [index for index, chunk in enumerate(chunks) if isinstance(chunk, Finish)]
    _hold(len(finishes) <= 1, f"the answer finished {len(finishes)} times")
    if finishes:
        late = [chunk for chunk in chunks[finishes[0] :] if isinstance(chunk, _CONTENT)]
        _hold(not late, f"{len(late)} chunks of content came after the finish")


async def _raises_its_errors(case: ProviderCase) -> None:
    """An unknown model is answered, or raised as an error of the tree; never told as content that looks like one."""
    try:
        chunks = await _read(msgspec.structs.replace(case, model="no-such-model-2f6c"), most=50)
    except BackstreamError as error:
        _hold("\n" not in str(error), f"the text of {type(error).__name__} has several lines")
        return
    except Exception as error:  # noqa: BLE001 - what is not of the tree is what this looks for
        _fail(f"an unknown model raised {type(error).__name__}, which is no BackstreamError")
    _hold(all(chunk.type not in ("error", "auth") for chunk in chunks), "an error was yielded instead of raised")


async def _leaving_early_leaves_nothing(case: ProviderCase) -> None:
    """Leaving after the first chunk leaves no task behind."""
    before = asyncio.all_tasks()
    await _read(case, most=1)
    await _settled(before)


async def _cancelling_is_not_swallowed(case: ProviderCase) -> None:
    """Cancelling the reader ends it with ``CancelledError``, and leaves no task behind."""
    before = asyncio.all_tasks()
    reading = asyncio.ensure_future(_read(case))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    outcome = (await asyncio.gather(reading, return_exceptions=True))[0]
    _hold(
        isinstance(outcome, asyncio.CancelledError | list),
        f"cancelling the reader raised {type(outcome).__name__} instead",
    )
    await _settled(before)


async def _settled(before: set[asyncio.Task[Any]]) -> None:
    left: set[asyncio.Task[Any]] = set()
    for _ in range(200):
        left = {task for task in asyncio.all_tasks() - before if not _is_ours(task)}
        if not left:
            return
        await asyncio.sleep(0.01)
    _fail(f"{len(left)} tasks were left running")


def _is_ours(task: asyncio.Task[Any]) -> bool:
    """An embedded server that is started once for the loop may stay."""
    return task is asyncio.current_task() or task.get_name().startswith(("backstream embedded", "backstream server"))


async def _two_at_once_do_not_mix(case: ProviderCase) -> None:
    """Two answers at once are both whole."""
    one, other = await asyncio.gather(_read(case), _read(case))
    for chunks in (one, other):
        _hold(any(isinstance(chunk, _CONTENT) for chunk in chunks), "of two answers at once, one was empty")


async def _changes_nothing_of_the_callers(case: ProviderCase) -> None:
    """Messages, media list and parameters are as they were."""
    messages = copy.deepcopy(list(case.messages))
    media = list(case.media) if case.media is not None else None
    keywords = dict(case.keywords)
    await _read(msgspec.structs.replace(case, media=media, keywords=keywords), messages=messages)
    _hold(messages == list(case.messages), "the messages were changed")
    _hold(media is None or media == list(case.media or ()), "the media list was changed")
    _hold(keywords == dict(case.keywords), "the parameters were changed")


async def _writes_nothing_to_its_class(case: ProviderCase) -> None:
    """A class is the same after an answer: state of one call must not reach another."""
    cls = case.provider if isinstance(case.provider, type) else type(case.provider)
    before = dict(vars(cls))
    await _read(case)
    changed = [name for name, value in vars(cls).items() if before.get(name, cls) is not value]
    _hold(not changed, f"the class was written to: {', '.join(changed)}")


async def _shows_no_key(case: ProviderCase) -> None:
    """A key that is refused is not in the error."""
    given = {name: value for name, value in case.keywords.items() if name != "api_key"}
    try:
        await _read(msgspec.structs.replace(case, keywords=given), most=50, api_key=CANARY)
    except Exception as error:  # noqa: BLE001 - whatever it raises must not show the key
        shown = f"{error} {error!r} {error.args} {error.__cause__} {error.__context__}"
        _hold(CANARY not in shown, f"{type(error).__name__} shows the key")


CHECKS: Final[Mapping[str, Callable[[ProviderCase], Awaitable[None]]]] = {
    check.__name__.strip("_"): check
    for check in (
        _starts_nothing_before_it_is_asked,
        _answers_in_chunks,
        _ends_once,
        _raises_its_errors,
        _leaving_early_leaves_nothing,
        _cancelling_is_not_swallowed,
        _two_at_once_do_not_mix,
        _changes_nothing_of_the_callers,
        _writes_nothing_to_its_class,
        _shows_no_key,
    )
}
"""Each check by its name; its docstring says what it holds a provider to."""


def _hold(condition: bool, problem: str) -> None:
    if not condition:
        _fail(problem)


def _fail(problem: str) -> NoReturn:
    raise AssertionError(problem)


async def check_provider(provider: Any, **call: Any) -> None:
    """Hold a provider to the promise of a stream.

    Args:
        provider: A class or object with ``create_async_generator``.
        **call: A call it answers: ``model``, ``messages``, ``media``, ``keywords``; see :class:`ProviderCase`.

    Raises:
        AssertionError: It breaks a promise; the text says which check, and how.
    """
    case = ProviderCase(provider=provider, **call)
    for name, check in CHECKS.items():
        try:
            async with asyncio.timeout(_SECONDS):
                await check(case)
        except TimeoutError as error:
            raise AssertionError(f"{name}: not over within {_SECONDS:g} s") from error
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
        except Exception as error:
            raise AssertionError(f"{name}: raised {type(error).__name__}: {error}") from error
