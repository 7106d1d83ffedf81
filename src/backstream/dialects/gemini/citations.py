"""The sources of an answer, both ways: grounding, citations and fetched pages.

Google counts places in bytes of UTF-8; ours are characters. The whole of what Google said travels on the first of the
chunks it makes, so that a client of the same dialect gets it unchanged.

Source: https://ai.google.dev/api/generate-content (``GroundingMetadata``, ``CitationMetadata``,
``UrlContextMetadata``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from backstream.chunks import Citation
from backstream.dialects.gemini.quirks import NAME

__all__ = ["METADATA", "parse_citations", "render_citations"]

METADATA: Final = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
"""The members of a candidate that name sources."""


def parse_citations(candidate: Mapping[str, Any], text: str) -> list[Citation]:
    """Read every source a candidate names.

    Args:
        candidate: The candidate.
        text: What was said so far, which places are counted in.
    """
    citations: list[Citation] = []
    for name, members in candidate.items():
        if name not in METADATA or not isinstance(members, Mapping) or not members:
            continue
        found = [
            {key: value for key, value in one.items() if value is not None} for one in _READERS[name](members, text)
        ]
        raw: dict[str, Any] = {name: dict(members)}
        for one in found or [{}]:
            citations.append(Citation(**one, raw={NAME: raw}))
            raw = {}
    return citations


def _maps(members: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list; an empty one where something else stands, so that indices stay right."""
    found = members.get(name)
    return [one if isinstance(one, Mapping) else {} for one in found] if isinstance(found, list) else []


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None


def _place(members: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Read where something is cited; Google leaves out a start of 0."""
    start, end = members.get("startIndex", 0), members.get("endIndex")
    if members.get("partIndex") or type(start) is not int or type(end) is not int or not 0 <= start <= end:
        return {}
    raw = text.encode("utf-8", "replace")
    if end > len(raw):
        return {}
    return {"start": len(raw[:start].decode("utf-8", "ignore")), "end": len(raw[:end].decode("utf-8", "ignore"))}


def _read_grounding(members: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    chunks = [_source(chunk) for chunk in _maps(members, "groundingChunks")]
    cited: set[int] = set()
    for support in _maps(members, "groundingSupports"):
        segment = support.get("segment")
        segment = segment if isinstance(segment, Mapping) else {}
        where = {"cited_text": _text(segment, "text"), **_place(segment, text)}
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is int and 0 <= index < len(chunks):
                cited.add(index)
                yield {**chunks[index], **where}
    yield from (chunk for index, chunk in enumerate(chunks) if index not in cited)


def _source(chunk: Mapping[str, Any]) -> dict[str, Any]:
    inner = next((value for value in chunk.values() if isinstance(value, Mapping)), {})
    return {"url": _text(inner, "uri"), "title": _text(inner, "title")}


def _read_cited(members: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    for source in _maps(members, "citationSources") or _maps(members, "citations"):
        yield {"url": _text(source, "uri"), "title": _text(source, "title"), **_place(source, text)}


def _read_fetched(members: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    del text
    for page in _maps(members, "urlMetadata"):
        yield {"url": _text(page, "retrievedUrl")}


_READERS: Final = {
    "groundingMetadata": _read_grounding,
    "citationMetadata": _read_cited,
    "urlContextMetadata": _read_fetched,
}


def render_citations(citations: list[Citation], text: str) -> dict[str, Any]:
    """Render sources as members of a candidate: Google's own words as they were, others as grounding.

    Args:
        citations: The sources.
        text: What was said so far, which places are counted in.
    """
    members: dict[str, Any] = {}
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for citation in citations:
        raw = (citation.raw or {}).get(NAME)
        if isinstance(raw, Mapping):
            members |= {name: raw[name] for name in METADATA if name in raw}
            continue
        web = {"uri": citation.url, "title": citation.title}
        chunks.append({"web": {name: value for name, value in web.items() if value is not None}})
        segment = _segment(citation, text)
        if segment:
            supports.append({"segment": segment, "groundingChunkIndices": [len(chunks) - 1]})
    if chunks and "groundingMetadata" not in members:
        members["groundingMetadata"] = {"groundingChunks": chunks, "groundingSupports": supports}
    return members


def _segment(citation: Citation, text: str) -> dict[str, Any]:
    segment: dict[str, Any] = {}
    if citation.start is not None and citation.end is not None and 0 <= citation.start <= citation.end <= len(text):
        segment["startIndex"] = len(text[: citation.start].encode("utf-8", "replace"))
        segment["endIndex"] = len(text[: citation.end].encode("utf-8", "replace"))
    if citation.cited_text is not None:
        segment["text"] = citation.cited_text
    return segment
