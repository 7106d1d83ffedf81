"""Runs the faults of ``backstream chaos`` through a gateway that stands before it: is a broken answer called whole?"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from backstream.testing.chaos.faults import FAULTS
from backstream.testing.chaos.shape import PREFIX, Fault, Outcome
from backstream.testing.doctor.case import Case
from backstream.testing.doctor.observing import Observed, converse, make_request
from backstream.testing.doctor.verdict import Finding, Verdict, failed, passed, warned

__all__ = ["prefixes_of", "run_through"]

_AT_ONCE: Final = 8
_LONGER: Final = 20
_MARK: Final = f"{PREFIX}ok"
_WHOLE: Final = ("ok", "cut-after-N", "no-end", "reset-after-N", "length-long", "error-N", "bad-json", "empty")
_REMEDIES: Final[Mapping[str, str]] = {
    "broken": "tell of the failure: a status before the first byte, the dialect's error event after it; no last word",
    "complete": "pass the answer on whole: this is no fault, only an unusual form",
    "either": "pass on what came, or tell of a failure; never say another text",
}
_RESTING: Final = re.compile(
    rb"\bresting\b|cool-?down|cooling down|no deployments available|circuit.breaker", re.IGNORECASE
)
"""How a gateway says that it asked nobody. Source: our own breaker's words, LiteLLM's router."""
_LET_NOT_REST: Final = (
    "switch that off for the examination (breaker_failures = 0 in backstream.toml), or ask again later"
)


def prefixes_of(case: Case) -> Sequence[str]:
    """Return what stands before ``chaos/…`` in the names of a gateway's models, once for each back-end."""
    if case.named:
        return [case.model.removesuffix(_MARK)] if case.model.endswith(_MARK) else []
    names = (model.id for model in case.models)
    return list(dict.fromkeys(name.removesuffix(_MARK) for name in names if name.endswith(_MARK)))


async def run_through(case: Case, prefix: str) -> tuple[Finding, ...]:
    """Run every fault through one back-end of a gateway.

    Args:
        case: The gateway.
        prefix: What its names have before ``chaos/``.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    # what ends by itself may take its time, also on a machine that is busy
    patient = dataclasses.replace(case.target, patience_seconds=case.target.patience_seconds * _LONGER)
    behind = "" if prefix else case.dialect  # nothing tells which dialect a gateway speaks to its back-end

    async def run(fault: Fault, *, stream: bool) -> Finding:
        outcome = fault.outcome_of(behind, stream=stream)
        async with gate:
            target = patient if fault.ends or outcome == "complete" else case.target
            seen = await converse(target, make_request(prefix + fault.model, stream=stream))
        verdict = _judge(seen, fault, outcome, is_exact=fault.is_exact_in(behind))
        if not seen.is_complete and _RESTING.search(seen.body):
            verdict = warned("not shown: the gateway lets the model rest, so nobody was asked")
        name = f"chaos.{prefix}{fault.model.removeprefix(PREFIX)}{'' if stream else ' (whole)'}"
        remedy = {"fail": _REMEDIES[outcome], "warn": _LET_NOT_REST}.get(verdict.status, "")
        return Finding(name, verdict.status, verdict.reason, remedy)

    return tuple(await asyncio.gather(*(run(fault, stream=stream) for fault, stream in _runs(case, prefix))))


def _runs(case: Case, prefix: str) -> Iterator[tuple[Fault, bool]]:
    for fault in FAULTS.values():
        if prefix or fault.suits(case.dialect):
            yield fault, True
    if case.dialect != "backend_api":
        for name in _WHOLE:
            yield FAULTS[name], False


def _judge(seen: Observed, fault: Fault, expected: Outcome, *, is_exact: bool) -> Verdict:
    said = "".join(fault.said())
    if seen.is_complete and expected == "broken":
        return failed("an answer that broke off is called whole")
    if not seen.is_complete and expected == "complete":
        return failed(f"a whole answer is not passed on: {seen.trouble}")
    if is_exact and not (seen.text == said if seen.is_complete else said.startswith(seen.text)):
        return failed("the text is not the one that was said")
    return passed("whole" if seen.is_complete else f"told: {_short(seen)}")


def _short(seen: Observed) -> str:
    return seen.trouble[:80] or "no end"
