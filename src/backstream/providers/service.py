"""What a back-end's header fields say beside the answer: which request it was, how much may still be asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backstream.reply import RateLimit, Service

__all__ = ["parse_service"]

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-goog-request-id", "x-amzn-requestid", "cf-ray")
_LIMIT = re.compile(
    r"(?:x-|anthropic-)?ratelimit-"
    r"(?:(?P<field>limit|remaining|reset)(?:-(?P<what>[a-z-]+))?|(?P<what2>[a-z-]+)-(?P<field2>limit|remaining|reset))\Z"
)
_MOST_LIMITS = 16


def parse_service(provider: str, headers: Mapping[str, str]) -> Service:
    """Read request id and rate limits.

    Args:
        provider: The provider's name here.
        headers: The answer's header fields, by lower-case names.

    Source: https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits
    """
    limits: dict[str, dict[str, Any]] = {}
    request_id = next((value[:200] for name in _REQUEST_IDS if (value := headers.get(name))), None)
    for name in headers:
        found = _LIMIT.match(name)
        if found is None:
            continue
        what = found["what"] or found["what2"] or "requests"
        if len(limits) == _MOST_LIMITS and what not in limits:
            continue
        field = found["field"] or found["field2"]
        value = headers[name][:100]
        limits.setdefault(what, {})[field] = value if field == "reset" else _whole(value)
    return Service(
        provider=provider,
        request_id=request_id,
        rate_limits=tuple(RateLimit(what=what, **fields) for what, fields in limits.items()),
    )


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
