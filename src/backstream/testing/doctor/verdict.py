"""What a check found, and all of them together as a scorecard. Pure values."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

__all__ = ["STATUSES", "Finding", "Scorecard", "Status", "Verdict", "failed", "passed", "skipped", "warned"]

Status: TypeAlias = Literal["pass", "fail", "warn", "skip"]

STATUSES: Final[Sequence[Status]] = ("pass", "fail", "warn", "skip")
"""``warn`` is what works, but not as well as it could, or what cannot be judged for sure; ``skip`` was not checked."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes:
        status: How it went.
        reason: What was seen.
    """

    status: Status
    reason: str


def passed(reason: str) -> Verdict:
    """Return that all is well."""
    return Verdict("pass", reason)


def failed(reason: str) -> Verdict:
    """Return that something is wrong."""
    return Verdict("fail", reason)


def warned(reason: str) -> Verdict:
    """Return that something could be better, or may be wrong."""
    return Verdict("warn", reason)


def skipped(reason: str) -> Verdict:
    """Return that nothing was checked."""
    return Verdict("skip", reason)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of a scorecard.

    Attributes:
        name: The check's name.
        status: How it went.
        reason: What was seen.
        remedy: What to do about it; ``""`` where there is nothing to do.
    """

    name: str
    status: Status
    reason: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Scorecard:
    """All findings about one endpoint in one dialect.

    Attributes:
        url: The endpoint.
        dialect: The dialect.
        model: The model that was asked.
        findings: The lines.
    """

    url: str
    dialect: str
    model: str
    findings: tuple[Finding, ...]

    @property
    def totals(self) -> Mapping[Status, int]:
        """How many findings there are of each status."""
        counted = Counter(finding.status for finding in self.findings)
        return {status: counted[status] for status in STATUSES}

    def is_healthy(self, *, strict: bool = False) -> bool:
        """Tell whether nothing failed; with ``strict`` whether nothing could be better either."""
        return not self.totals["fail"] and not (strict and self.totals["warn"])

    def get_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "url": self.url,
            "dialect": self.dialect,
            "model": self.model,
            "totals": dict(self.totals),
            "checks": [dataclasses.asdict(finding) for finding in self.findings],
        }
