"""Examines an endpoint, check by check, in one dialect or in all that it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from backstream.dialects.names import DIALECTS
from backstream.errors import ConfigurationError, ProviderError
from backstream.testing.doctor.answers import ANSWERS
from backstream.testing.doctor.case import Case, Check
from backstream.testing.doctor.conduct import CONDUCT
from backstream.testing.doctor.observing import fetch, post
from backstream.testing.doctor.target import Target, aim
from backstream.testing.doctor.through import prefixes_of, run_through
from backstream.testing.doctor.verdict import Finding, Scorecard

__all__ = ["CHECKS", "examine", "find_dialects"]

CHECKS: Sequence[Check] = (*ANSWERS, *CONDUCT)
"""Every check that any endpoint can be held to."""

_PATHS = {"openai_chat": "/chat/completions", "openai_responses": "/responses", "anthropic_messages": "/messages"}
_MISSING = frozenset({404, 405, 501})


async def find_dialects(url: str, *, key: str | None = None, patience_seconds: float = 30.0) -> Sequence[str]:
    """Return the dialects an endpoint speaks, by which of their paths it knows.

    Args:
        url: The endpoint.
        key: Its key.
        patience_seconds: How long one answer may take.

    Raises:
        ConfigurationError: The URL or the key cannot work.
        ProviderError: Nobody answers there.
    """
    targets = [aim(url, dialect, key, patience_seconds) for dialect in DIALECTS]
    known = await asyncio.gather(*map(_speaks, targets))
    return [target.dialect.name for target, speaks in zip(targets, known, strict=True) if speaks]


async def _speaks(target: Target) -> bool:
    path = _PATHS.get(target.dialect.name)
    seen = await (fetch(target, target.models_path) if path is None else post(target, path, b"{}"))
    if seen.status is None:
        assert seen.error is not None
        raise seen.error
    if path is None and seen.status == 200:  # else a page that answers every path would speak everything
        return seen.content_type == "application/json"
    return seen.status not in _MISSING and seen.status < 500


async def examine(
    url: str,
    dialect: str,
    *,
    model: str = "",
    key: str | None = None,
    patience_seconds: float = 30.0,
    through_chaos: bool = False,
) -> Scorecard:
    """Examine an endpoint in one dialect.

    Args:
        url: The endpoint.
        dialect: The dialect's name.
        model: The model to ask; ``""`` for the first of its list that is not for embeddings, pictures or sound.
        key: Its key.
        patience_seconds: How long one answer may take; default 30.
        through_chaos: Run the faults of ``backstream chaos``, which must be a back-end of the endpoint, instead of the
            checks that any endpoint can be held to.

    Raises:
        ConfigurationError: The URL or the key cannot work, there is no model to ask, or no chaos behind the endpoint.
        ProviderError: Nobody answers there.
    """
    case = Case(aim(url, dialect, key, patience_seconds), model)
    await case.prepare()
    if case.listing.status is None and isinstance(case.listing.error, ProviderError):
        raise case.listing.error
    if not case.model:
        raise ConfigurationError(f"{dialect} lists no model to ask", "name one with --model")
    findings = [finding async for finding in (_through(case) if through_chaos else _checked(case))]
    return Scorecard(case.target.url, dialect, case.model, tuple(findings))


async def _checked(case: Case) -> AsyncIterator[Finding]:
    for check in CHECKS:
        if check.skipped_in is not None and check.skipped_in[0] == case.dialect:
            yield Finding(check.name, "skip", check.skipped_in[1])
            continue
        verdict = await check.run(case)
        remedy = check.remedy if verdict.status in ("fail", "warn") else ""
        yield Finding(check.name, verdict.status, verdict.reason, remedy)


async def _through(case: Case) -> AsyncIterator[Finding]:
    prefixes = prefixes_of(case)
    if not prefixes:
        raise ConfigurationError(
            f"no model that {case.dialect} lists is chaos/ok", "put backstream chaos behind it, or name one by --model"
        )
    for prefix in prefixes:
        for finding in await run_through(case, prefix):
            yield finding
