"""What Gemini's API does not offer, for the generated table of capabilities."""

from __future__ import annotations

from typing import Final

NOT_OFFERED: Final = {
    "names": "a content has a role and no name (https://ai.google.dev/api/caching#Content)",
    "refusal": "a model's refusal is text like any other; filters tell by finishReason and blockReason",
    "cache-control": "parts have no marks: caching is implicit, or by the name of a cachedContent, which goes as it is "
    "(https://ai.google.dev/gemini-api/docs/caching)",
}
