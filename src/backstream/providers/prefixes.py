"""Who goes on with a last turn of the assistant, as the begin of the answer, instead of answering anew. A table.

What is not known to is taken not to: a back-end that answers a last turn of its own with another one cannot be told
from one that goes on. One that is wrongly taken to refuses, and is asked again without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from backstream.providers.rows_shape import Row

__all__ = ["PREFIXES", "Prefix", "takes_prefix"]


class Prefix(msgspec.Struct, frozen=True):
    """Who goes on with the begin of an answer, of the back-ends of one dialect.

    Attributes:
        models: A pattern of the models that do, without what stands before the last slash; ``None`` for none.
        source: The page that says so.
    """

    models: str | None
    source: str


_CLAUDE: Final = r"claude-(instant|[23]|(opus|sonnet|haiku)-4([-.][0-5])?(-?\d{8}|-latest|@.*|:.*)?$)"
"""Claude 4.6 and whatever is newer refuses it, by 400."""

_GEMINI: Final = r"gemini-(1|2|3(\.1)?-)"
"""Gemini 3.5 Flash-Lite, 3.6 Flash and whatever is newer refuse it, by 400."""

_OTHERS: Final = r"(?!claude|gemini|gpt|chatgpt|o\d)"

PREFIXES: Final[Mapping[str, Prefix]] = {
    "anthropic_messages": Prefix(_CLAUDE, "https://platform.claude.com/docs/en/about-claude/models/migration-guide"),
    "gemini": Prefix(_GEMINI, "https://ai.google.dev/gemini-api/docs/latest-model"),
    "ollama": Prefix("", "https://github.com/ollama/ollama/issues/6778"),
    # only where the row's quirks say how, under ``prefix``; OpenAI's own models answer anew
    "openai_chat": Prefix(f"{_CLAUDE}|{_GEMINI}|{_OTHERS}", "https://github.com/standardcompletions/rfcs/issues/1"),
    "openai_responses": Prefix(None, "https://platform.openai.com/docs/api-reference/responses"),
    "backend_api": Prefix(None, "docs/protocol.md"),
}
"""Who does, by dialect."""


def takes_prefix(row: Row, model: str) -> bool:
    """Tell whether a model of a back-end is known to go on with the begin of an answer.

    Args:
        row: The back-end's row.
        model: The model, as the back-end names it.
    """
    known = PREFIXES.get(row.dialect)
    if known is None or known.models is None or (row.dialect == "openai_chat" and not row.quirks.get("prefix")):
        return False
    return re.match(known.models, model.rpartition("/")[2].lower()) is not None
