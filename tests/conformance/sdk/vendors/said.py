"""What an upstream was asked, and what it says to that, in no vendor's words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ASKED: Mapping[str, Any] = json.loads((Path(__file__).parent.parent / "drivers" / "asked.json").read_text("utf-8"))
"""What every driver asks."""

PIECES = ("Hello, ", "wörld! ", "🙂\n", "“Two” lines.")
TEXT = "".join(PIECES)
HALF = "".join(PIECES[:2])
"""What is said before a fault."""
THOUGHT = ("The user greets. ", "I greet back.")
PARSED = {"city": "Tromsø", "celsius": -4}
INPUT_TOKENS, OUTPUT_TOKENS = 11, 7
RETRY_AFTER_SECONDS = 7
KEPT = "The reasoning came back."
REFUSED = "The upstream says no."
BROKEN = "The upstream broke."


class Call(NamedTuple):
    id: str
    name: str
    arguments: Mapping[str, Any]


CALLS = (Call("call_a1", "get_weather", {"city": "Paris"}), Call("call_b2", "get_time", {"city": "Tromsø"}))


class Asked(NamedTuple):
    """A request, read.

    Attributes:
        scenario: The model's name.
        stream: Whether the answer shall be streamed.
        system: The system text.
        text: The last text of the user.
        images: The bytes of the pictures.
        tools: The names of the tools.
        results: What the tools gave, by the id of the call, or by the tool's name where the vendor has no ids.
        made: The names of the tools by the ids of the calls, as the request repeats them: clients whose own protocol
            has no ids have not kept them.
        schema: The schema that the answer shall have.
        kept: Whether the reasoning before came back as the vendor wants it: with its signature, where it has one.
    """

    scenario: str
    stream: bool
    system: str = ""
    text: str = ""
    images: Sequence[bytes] = ()
    tools: Sequence[str] = ()
    results: Mapping[str, str] = {}
    made: Mapping[str, str] = {}
    schema: Mapping[str, Any] | None = None
    kept: bool = False


class Said(NamedTuple):
    """An answer.

    Attributes:
        pieces: Its text.
        thoughts: The reasoning before it.
        calls: The calls of tools after it.
        fault: What happens where its end should be: an ``error``; the connection is ``cut``, or the answer ends
            ``clean``, as HTTP has it, without the vendor's word; or nothing comes any more (``hold``).
    """

    pieces: Sequence[str] = ()
    thoughts: Sequence[str] = ()
    calls: Sequence[Call] = ()
    fault: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thought(self) -> str:
        return "".join(self.thoughts)


_FAULTS = {"error_in_stream": "error", "cut": "cut", "cut_clean": "clean"}


def say(asked: Asked) -> Said:
    """Return what is said to a request; where something did not arrive, which."""
    if asked.scenario in _FAULTS:
        return Said(PIECES[:2], fault=_FAULTS[asked.scenario])
    if asked.scenario == "cancel":
        return Said(PIECES[:1], fault="hold")
    if asked.scenario == "reasoning":
        return Said(PIECES, thoughts=THOUGHT)
    if asked.scenario == "tools":
        return _say_tools(asked)
    if asked.scenario == "reasoning_tools":
        said = _say_tools(asked)
        return (
            said._replace(pieces=[*said.pieces, KEPT * asked.kept])
            if asked.results
            else said._replace(thoughts=THOUGHT)
        )
    if asked.scenario == "image":
        return Said([hashlib.sha256(image).hexdigest() for image in asked.images] or ["no picture arrived"])
    if asked.scenario == "structured":
        arrived = sorted((asked.schema or {}).get("properties", {})) == sorted(PARSED)
        return Said([json.dumps(PARSED) if arrived else f"the schema did not arrive: {asked.schema}"])
    missing = [what for what in ("system", "text") if getattr(asked, what) != ASKED[what]]
    return Said([f"{what} did not arrive: {getattr(asked, what)!r}" for what in missing] or PIECES)


def _say_tools(asked: Asked) -> Said:
    if sorted(asked.tools) != ["get_time", "get_weather"]:
        return Said([f"the tools did not arrive: {asked.tools}"])
    if not asked.results:
        return Said(calls=CALLS)
    results = dict(asked.results)
    for made, name in asked.made.items():
        results[name] = results.get(made, "nothing")
    told = [results.get(call.id, results.get(call.name, "nothing")) for call in CALLS]
    return Said([f"{call.arguments['city']}: {result}. " for call, result in zip(CALLS, told, strict=True)])


def fill(template: str, **values: Any) -> bytes:
    """Put JSON values into the places of a vendor's bytes that are marked ``«name»``."""
    for name, value in values.items():
        template = template.replace(f"«{name}»", json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return template.encode()


def text_of(content: Any) -> str:
    """Return the text of a message's content, as the vendors have it: text, or parts with texts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or () if isinstance(part, dict))
