"""Checks of answers that go well: lists, whole and streamed answers, their framing, counts and last words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from backstream.chunks import Finish, Usage
from backstream.testing.doctor.case import Case, Check
from backstream.testing.doctor.frames import LAST_WORDS, damage_of, last_words
from backstream.testing.doctor.observing import Observed
from backstream.testing.doctor.verdict import Verdict, failed, passed, skipped, warned

__all__ = ["ANSWERS"]

_EVENTS: Final = frozenset({"text/event-stream"})
_STREAM_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "ollama": frozenset({"application/x-ndjson"}),
    "backend_api": frozenset({"text/event-stream", "application/x-ndjson"}),
}
_ALWAYS_STREAMS: Final = ("backend_api", "this dialect always streams")


async def check_list(case: Case) -> Verdict:
    """The models are listed."""
    if case.list_trouble:
        return failed(f"{case.target.models_path} gives no list: {case.list_trouble}")
    if case.listing.content_type != "application/json":
        return failed(f"the list is {case.listing.content_type or 'untyped'}, not application/json")
    count = len(case.models)
    return passed(f"{count} model{'s' * (count != 1)}") if count else failed("the list is empty")


async def check_listed(case: Case) -> Verdict:
    """The model that answers is in the list."""
    if not case.models:
        return skipped("there is no list")
    if any(case.model in (model.id, model.name) for model in case.models):
        return passed("the model is listed")
    return warned("the model that was asked is not in the list")


async def check_whole(case: Case) -> Verdict:
    """A whole answer comes."""
    return _judge_answer(await case.whole())


async def check_whole_type(case: Case) -> Verdict:
    """A whole answer is JSON."""
    seen = await case.whole()
    if seen.status != 200:
        return skipped("there is no whole answer")
    if seen.content_type != "application/json":
        return failed(f"a whole answer is {seen.content_type or 'untyped'}, not application/json")
    return passed("application/json")


async def check_whole_finish(case: Case) -> Verdict:
    """A whole answer says why it ended."""
    return _judge_finish(await case.whole())


async def check_whole_usage(case: Case) -> Verdict:
    """A whole answer counts its tokens."""
    return _judge_usage(await case.whole())


async def check_stream(case: Case) -> Verdict:
    """A streamed answer comes."""
    return _judge_answer(await case.streamed())


async def check_stream_type(case: Case) -> Verdict:
    """A streamed answer has the type of the dialect's streams."""
    seen = await case.streamed()
    if seen.status != 200:
        return skipped("there is no streamed answer")
    allowed = _STREAM_TYPES.get(case.dialect, _EVENTS)
    if seen.content_type not in allowed:
        return failed(f"the stream is {seen.content_type or 'untyped'}, not {' or '.join(sorted(allowed))}")
    return passed(seen.content_type)


async def check_stream_events(case: Case) -> Verdict:
    """Every event is UTF-8 and JSON."""
    seen = await case.streamed()
    if seen.status != 200:
        return skipped("there is no streamed answer")
    damage = damage_of(seen)
    return failed(damage) if damage else passed("every event is JSON in UTF-8")


async def check_stream_end(case: Case) -> Verdict:
    """The stream ends with the dialect's last word, said once, and nothing after it."""
    seen = await case.streamed()
    if seen.status != 200:
        return skipped("there is no streamed answer")
    count, after = last_words(seen, case.dialect)
    marker = LAST_WORDS[case.dialect]
    if not count:
        return failed(f"the stream ends without {marker}")
    if count > 1 or after:
        return failed(f"{after} event{'s' * (after != 1)} after {marker}")
    return passed(f"{marker} is the last word")


async def check_stream_close(case: Case) -> Verdict:
    """The body ends after its last word, and HTTP says so."""
    seen = await case.streamed()
    if seen.status != 200:
        return skipped("there is no streamed answer")
    if seen.error is not None:
        return failed(f"the body does not end as HTTP wants it ({type(seen.error).__name__})")
    if seen.framing == "close":
        return warned("the body ends with its connection, so that a cut looks like an end")
    return passed(f"the body ends by its {seen.framing} framing")


async def check_stream_finish(case: Case) -> Verdict:
    """A streamed answer says once why it ended."""
    seen = await case.streamed()
    reasons = [chunk.reason for chunk in seen.chunks if isinstance(chunk, Finish)]
    return failed(f"the reason of the end comes {len(reasons)} times") if len(reasons) > 1 else _judge_finish(seen)


async def check_stream_usage(case: Case) -> Verdict:
    """A streamed answer counts its tokens."""
    return _judge_usage(await case.streamed())


async def check_same_text(case: Case) -> Verdict:
    """Whole and streamed, the answer is the same."""
    if case.dialect == _ALWAYS_STREAMS[0]:
        return skipped(_ALWAYS_STREAMS[1])
    whole, streamed = await case.whole(), await case.streamed()
    if not whole.text or not streamed.text:
        return skipped("there are no two texts")
    if whole.text == streamed.text:
        return passed("the same text, whole and streamed")
    return warned("whole and streamed text differ; a model may say something else each time")


async def check_unbuffered(case: Case) -> Verdict:
    """Nothing on the way may hold the stream back."""
    seen = await case.streamed()
    if seen.status != 200:
        return skipped("there is no streamed answer")
    if "content-encoding" in seen.headers:
        return failed(f"the stream is compressed ({seen.headers['content-encoding'][:20]}), which was not asked for")
    lacks = []
    if not {"no-cache", "no-store"} & {word.strip() for word in seen.headers.get("cache-control", "").split(",")}:
        lacks.append("Cache-Control: no-cache")
    if seen.headers.get("x-accel-buffering", "").lower() != "no":
        lacks.append("X-Accel-Buffering: no")
    return warned(f"the stream lacks {' and '.join(lacks)}") if lacks else passed("no proxy is told to hold it back")


def _judge_answer(seen: Observed) -> Verdict:
    if seen.trouble:
        return failed(f"no answer: {seen.trouble}")
    if not seen.is_complete:
        return failed("the answer is not complete")
    return passed(f"{len(seen.text):,} characters") if seen.text.strip() else failed("the answer has no text")


def _judge_finish(seen: Observed) -> Verdict:
    if seen.status != 200 or seen.end is None:
        return skipped("there is no answer")
    reason = seen.finish.reason if seen.finish is not None else None
    if reason is None:
        return failed("nothing says why the answer ended")
    return passed(f"it ended for {reason}")


def _judge_usage(seen: Observed) -> Verdict:
    if not seen.is_complete:
        return skipped("there is no complete answer")
    usage = seen.usage
    if usage is None:
        return warned("no tokens are counted")
    return _judge_counts(usage)


def _judge_counts(usage: Usage) -> Verdict:
    asked, said, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if asked is None or said is None:
        return warned("only some tokens are counted")
    if min(asked, said) < 0:
        return failed("a count of tokens is negative")
    if said == 0:
        return failed("an answer with text counts no tokens")
    # what a back-end counts beside the two (reasoning, tools) makes the total larger, never smaller
    if total is not None and total < asked + said:
        return failed(f"{asked} + {said} tokens are called {total}")
    return passed(f"{asked} + {said} tokens")


ANSWERS: Final = (
    Check("models.list", check_list, "answer GET of the list of models with status 200 and the dialect's JSON"),
    Check("models.named", check_listed, "list every model that answers"),
    Check("whole.answer", check_whole, "answer without stream by one JSON document", _ALWAYS_STREAMS),
    Check("whole.type", check_whole_type, "send Content-Type: application/json", _ALWAYS_STREAMS),
    Check("whole.finish", check_whole_finish, "say why the answer ended", _ALWAYS_STREAMS),
    Check("whole.usage", check_whole_usage, "count the tokens, and make them add up", _ALWAYS_STREAMS),
    Check("stream.answer", check_stream, "stream an answer, and end it in the dialect's own words"),
    Check("stream.type", check_stream_type, "send the Content-Type of the dialect's streams"),
    Check("stream.events", check_stream_events, "send one whole JSON value an event, in UTF-8"),
    Check("stream.end", check_stream_end, "say the last word once, last, and only where the answer is whole"),
    Check("stream.close", check_stream_close, "end the body with its last chunk, right after the last word"),
    Check("stream.finish", check_stream_finish, "say once why the answer ended"),
    Check("stream.usage", check_stream_usage, "count the tokens of streams too, and make them add up"),
    Check("stream.same-text", check_same_text, "make streams of the same answers"),
    Check("stream.unbuffered", check_unbuffered, "send Cache-Control: no-cache and X-Accel-Buffering: no, and no gzip"),
)
"""The checks, in the order they are told."""
