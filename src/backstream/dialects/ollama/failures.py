"""Refusals in Ollama's form, both ways: ``{"error": "text"}``, the class by the status alone.

On the routes this dialect uses, 404 means that the model is not there. ``code`` and ``status`` are members of ours,
which clients of Ollama pass over.

Source: https://docs.ollama.com/api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backstream import errors
from backstream.dialects.refusals import refusal, status_of
from backstream.errors import BackstreamError, DecodeError, ProviderError, RefusedError
from backstream.wire.json_text import decode_json, encode_json
from backstream.wire.status import class_for

__all__ = ["parse_error", "render_error", "render_failure"]

_CODES: Final[Mapping[str, type[RefusedError]]] = {
    "not_found": errors.ModelNotFoundError,
    "content_filter": errors.ContentRefusedError,
}


def parse_error(status: int | None, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """See :meth:`backstream.dialects.base.Dialect.parse_error`."""
    try:
        answer = decode_json(body)
    except DecodeError:
        answer = {}
    answer = answer if isinstance(answer, Mapping) else {}
    told = answer.get("status")
    if status is None and isinstance(told, int) and 400 <= told <= 599:
        known, kinds = {str(told): class_for(told), **_CODES}, (_code(told, answer), str(told))
        return refusal(None, headers, body, known, message=_message(answer), kinds=kinds)
    return refusal(status, headers, body, _CODES, message=_message(answer), kinds=(_code(status, answer),))


def _code(status: int | None, answer: Mapping[str, Any]) -> str | None:
    code = answer.get("code")
    if isinstance(code, str) and code in _CODES:
        return code
    return "not_found" if status == 404 else None


def _message(answer: Mapping[str, Any]) -> str | None:
    error = answer.get("error")
    if isinstance(error, Mapping):  # as servers that imitate Ollama have it
        error = error.get("message")
    return error if isinstance(error, str) else None


def _status(error: BackstreamError) -> int:
    """The status that stands for the error: the back-end's own, where it says the same here."""
    if isinstance(error, errors.ModelNotFoundError):
        return 404
    own = error.status if isinstance(error, RefusedError) else None
    if own is not None and own != 404 and (class_for(own) is type(error) or type(error) is RefusedError):
        return own
    return status_of(error) if isinstance(error, errors.CallerError) else error.status_hint


def render_failure(error: BackstreamError) -> dict[str, Any]:
    """Render an error as the object that stands for it, in a body or on a line."""
    members: dict[str, Any] = {"error": error.problem if isinstance(error, ProviderError) else str(error)}
    if isinstance(error, errors.ContentRefusedError):
        members["code"] = "content_filter"
    return {**members, "status": _status(error)}


def render_error(error: BackstreamError) -> tuple[int, bytes]:
    """See :meth:`backstream.dialects.base.Dialect.render_error`."""
    return _status(error), encode_json(render_failure(error))
