"""Checks of how an endpoint behaves: refusals, keys, limits, clients that leave, several at once, other origins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from backstream.credentials import Secret
from backstream.errors import AuthenticationError, RefusedError
from backstream.request import Receipts
from backstream.testing.doctor.case import Case, Check
from backstream.testing.doctor.observing import Observed, converse, fetch, leave_early, make_request, post
from backstream.testing.doctor.verdict import Verdict, failed, passed, skipped, warned

__all__ = ["CONDUCT"]

_NO_MODEL: Final = "doctor-knows-no-such-model"
_NO_KEY: Final = "doctor-knows-no-such-key-0123456789"
_ORIGIN: Final = "https://doctor.invalid"
_LIMIT: Final = 16  # the least that every vendor takes
_AT_ONCE: Final = 4


def _error_of(value: Any) -> Any:
    return value.get("error") if isinstance(value, dict) else None


def _has(error: Any, *names: str) -> bool:
    return isinstance(error, dict) and all(isinstance(error.get(name), str) for name in names)


# Source: each vendor's documentation of errors
_SHAPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "openai_chat": lambda body: _has(_error_of(body), "message"),
    "openai_responses": lambda body: _has(_error_of(body), "message"),
    "anthropic_messages": lambda body: _has(body, "type") and _has(_error_of(body), "type", "message"),
    "gemini": lambda body: _has(_error_of(body), "message", "status") and isinstance(_error_of(body).get("code"), int),
    "ollama": lambda body: isinstance(_error_of(body), str),
    "backend_api": lambda body: isinstance(_error_of(body), str) or _has(_error_of(body), "message"),
}


async def check_bad_model(case: Case) -> Verdict:
    """A model that does not exist is refused."""
    seen = await converse(case.target, make_request(_NO_MODEL, stream=False))
    if seen.is_complete:
        return warned("a model that does not exist answers, as if it did")
    if case.dialect == "backend_api" and seen.status == 200:
        told = seen.end is not None and isinstance(seen.end.error, RefusedError)
        return passed("an error event tells of it") if told else failed(f"no error tells of it: {seen.trouble}")
    return _judge_refusal(case, seen, 400, 404)


async def check_bad_model_streamed(case: Case) -> Verdict:
    """A model that does not exist is refused by a status, also where a stream was asked for."""
    seen = await converse(case.target, make_request(_NO_MODEL, stream=True))
    if seen.is_complete:
        return warned("a model that does not exist answers, as if it did")
    if seen.status == 200:
        return warned("the refusal comes as an event of a stream with status 200")
    return _judge_refusal(case, seen, 400, 404)


async def check_bad_json(case: Case) -> Verdict:
    """A body that is no JSON is refused."""
    request = make_request(case.model, stream=False)
    path = case.target.dialect.render_request(request, Receipts()).path
    return _judge_refusal(case, await post(case.target, path, b'{"model": '), 400, 422)


async def check_bad_key(case: Case) -> Verdict:
    """A wrong key is refused, and not told back."""
    if case.target.key is None:
        return skipped("no key was given")
    seen = await converse(case.target, make_request(case.model, stream=False), key=Secret(_NO_KEY))
    if case.dialect == "backend_api" and seen.status == 200:
        told = seen.end is not None and isinstance(seen.end.error, AuthenticationError)
        return passed("an event tells of it") if told else failed("a wrong key is not refused")
    if _NO_KEY.encode() in seen.body:
        return failed("the refusal of a wrong key shows the key")
    return _judge_refusal(case, seen, 401, 403, *([400] if case.dialect == "gemini" else []))


async def check_no_key(case: Case) -> Verdict:
    """Without a key nobody is answered."""
    if case.target.key is None:
        return skipped("no key was given")
    seen = await converse(case.target, make_request(case.model, stream=False), key=None)
    return _judge_refusal(case, seen, 401, 403, *([400] if case.dialect == "gemini" else []))


async def check_unknown_path(case: Case) -> Verdict:
    """A path that does not exist is refused as JSON."""
    seen = await fetch(case.target, "/doctor-knows-no-such-path")
    if seen.status not in (404, 405):
        return warned(f"a path that does not exist gives {_status(seen)}, not 404")
    return passed("404") if seen.content_type == "application/json" else warned("a 404 that is no JSON")


async def check_max_tokens(case: Case) -> Verdict:
    """A limit of tokens ends the answer with the reason ``length``."""
    seen = await converse(case.target, make_request(case.model, stream=True, max_tokens=_LIMIT))
    if seen.status == 400:
        return skipped("a limit of tokens by the dialect's usual name is refused")
    if not seen.is_complete:
        return failed(f"an answer cut by its limit is no complete answer: {seen.trouble or 'it has no end'}")
    reason = seen.finish.reason if seen.finish is not None else None
    counted = seen.usage.output_tokens if seen.usage is not None else None
    if reason == "length":
        return passed("it ends for length")
    if counted is not None and counted <= _LIMIT:
        return skipped(f"the answer took {counted} tokens, fewer than the limit of {_LIMIT}")
    if counted is None:
        return warned(f"it ends for {reason}, and no tokens are counted")
    return failed(f"{counted} tokens came where {_LIMIT} were the limit, and it ends for {reason}")


async def check_leaving(case: Case) -> Verdict:
    """A client that leaves does no harm to the next one."""
    left = await leave_early(case.target, make_request(case.model, stream=True))
    if left.error is not None or not left.chunks:
        return skipped("no stream began")
    after = await converse(case.target, make_request(case.model, stream=True))
    if after.trouble:
        return failed(f"after a client left, the next one gets no answer: {after.trouble}")
    return passed("the next client is answered")


async def check_at_once(case: Case) -> Verdict:
    """Several streams at once are all answered."""
    request = make_request(case.model, stream=True)
    seen = await asyncio.gather(*(converse(case.target, request) for _ in range(_AT_ONCE)))
    bad = [each for each in seen if not each.is_complete]
    if not bad:
        return passed(f"{_AT_ONCE} streams at once")
    if all(each.status in (429, 503) for each in bad):
        return warned(f"of {_AT_ONCE} streams at once {len(bad)} are refused")
    return failed(f"of {_AT_ONCE} streams at once {len(bad)} fail: {bad[0].trouble or 'no end'}")


async def check_keep_alive(case: Case) -> Verdict:
    """Connections can be used again."""
    if case.listing.status is None:
        return skipped("there is no answer")
    if "close" in case.listing.headers.get("connection", "").lower() or case.listing.framing == "close":
        return warned("every answer closes its connection")
    return passed("connections stay open")


async def check_origins(case: Case) -> Verdict:
    """A page of any origin cannot use the endpoint with its user's credentials."""
    seen = await fetch(
        case.target,
        case.target.models_path,
        method="OPTIONS",
        key=None,
        headers={"Origin": _ORIGIN, "Access-Control-Request-Method": "POST"},
    )
    allowed = seen.headers.get("access-control-allow-origin", "")
    if allowed not in ("*", _ORIGIN):
        return passed("pages of other origins are not let in")
    if seen.headers.get("access-control-allow-credentials", "").lower() == "true":
        return failed("pages of any origin are let in with credentials")
    if case.target.key is None:
        return warned("pages of any origin are let in, and no key is needed")
    return passed("pages of other origins are let in without credentials")


def _judge_refusal(case: Case, seen: Observed, *statuses: int) -> Verdict:
    if seen.status is None:
        return failed(f"no answer at all: {seen.trouble}")
    if seen.status not in statuses:
        return failed(f"it gives {_status(seen)}, not {' or '.join(map(str, statuses))}")
    try:
        body = json.loads(seen.body)
    except (ValueError, RecursionError):
        return failed(f"status {seen.status}, but the body is no JSON")
    if not _SHAPES[case.dialect](body):
        return failed(f"status {seen.status}, but the body has not the dialect's shape of an error")
    return passed(f"status {seen.status}, and the dialect's error")


def _status(seen: Observed) -> str:
    return f"status {seen.status}" if seen.status is not None else seen.trouble


CONDUCT: Final = (
    Check("errors.bad-model", check_bad_model, "refuse unknown models with status 404 and the dialect's error"),
    Check(
        "errors.bad-model-streamed",
        check_bad_model_streamed,
        "decide before the first byte, so that a refusal is a status",
        ("backend_api", "this dialect tells of it by an event"),
    ),
    Check("errors.bad-json", check_bad_json, "refuse malformed bodies with status 400 and the dialect's error"),
    Check("errors.bad-key", check_bad_key, "refuse wrong keys with status 401, and never show one"),
    Check("errors.no-key", check_no_key, "refuse requests without a key with status 401"),
    Check("errors.unknown-path", check_unknown_path, "answer unknown paths with status 404 and JSON"),
    Check("truth.max-tokens", check_max_tokens, "obey the limit, and say length where it cut the answer"),
    Check("truth.client-leaves", check_leaving, "stop the answer of a client that left, and free what it held"),
    Check("truth.at-once", check_at_once, "answer several clients at once, or refuse with 429 and Retry-After"),
    Check("http.keep-alive", check_keep_alive, "keep connections open between requests"),
    Check("http.origins", check_origins, "send no Access-Control-Allow-Origin, or name the origins you trust"),
)
"""The checks, in the order they are told."""
