"""The Gemini API as Google's servers send it.

Bytes after the streams in ``tests/data/recorded/gemini``.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sdk.vendors.said import BROKEN, INPUT_TOKENS, OUTPUT_TOKENS, Asked, Said, fill, text_of

URL_PATH = "/v1beta"
STREAM_TYPE = "text/event-stream"
SIGNATURE = "CiIBVKhc7vB+vaaq6rA/KC79Ts7iXagIOA4EBOyBFDpl+pxP"

_USAGE = (
    '"usageMetadata": {"promptTokenCount": «input»,"candidatesTokenCount": «output»,"totalTokenCount": «total»,'
    '"promptTokensDetails": [{"modality": "TEXT","tokenCount": «input»}]},"modelVersion": "gemini-2.5-flash",'
    '"responseId": "48SHaPHpHKbG-8YPtZCawAk"}'
)
_EVENT = (
    '{"candidates": [{"content": {"parts": «parts»,"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": '
    '«input»,"totalTokenCount": «input»,"promptTokensDetails": [{"modality": "TEXT","tokenCount": «input»}]},'
    '"modelVersion": "gemini-2.5-flash","responseId": "48SHaPHpHKbG-8YPtZCawAk"}'
)
_LAST = '{"candidates": [{"content": {"parts": «parts»,"role": "model"},"finishReason": "STOP","index": 0}],' + _USAGE
_ERROR = '{"error": {"code": «code»,"message": «said»,"status": «status»}}'
_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
_COUNTS = {"input": INPUT_TOKENS, "output": OUTPUT_TOKENS, "total": INPUT_TOKENS + OUTPUT_TOKENS}


def read(path: str, body: Mapping[str, Any]) -> Asked:
    """Read a request."""
    model, _, method = path.rpartition("/")[2].partition(":")
    parts = [part for turn in body["contents"] for part in turn["parts"]]
    said = [turn["parts"] for turn in body["contents"] if turn.get("role", "user") == "user"]
    functions = [function for tool in body.get("tools", ()) for function in tool["functionDeclarations"]]
    answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
    settings = body.get("generationConfig", {})
    return Asked(
        scenario=model,
        stream=method.startswith("stream"),
        system=text_of(body.get("systemInstruction", {}).get("parts")),
        text=text_of(said[-1]),
        images=[b64decode(part["inlineData"]["data"]) for part in parts if "inlineData" in part],
        tools=[function["name"] for function in functions],
        results={each["name"]: next(iter(each["response"].values())) for each in answers},
        kept=any(_standard(part.get("thoughtSignature", "")) == SIGNATURE for part in parts if "functionCall" in part),
        schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
    )


def _standard(base64: str) -> str:
    """Google's servers take either alphabet of base64; its library for Python writes that of URLs."""
    return base64.replace("-", "+").replace("_", "/")


def stream(said: Said) -> Iterator[bytes]:
    """Write the events of a streamed answer."""
    parts = _parts(said)
    for part in parts if said.fault else parts[:-1]:
        yield b"data: " + fill(_EVENT, parts=[part], input=INPUT_TOKENS) + b"\r\n\r\n"
    if said.fault == "error":
        yield b"data: " + fill(_ERROR, code=503, said=BROKEN, status="UNAVAILABLE") + b"\r\n\r\n"
    if not said.fault:
        yield b"data: " + fill(_LAST, parts=parts[-1:], **_COUNTS) + b"\r\n\r\n"


def _parts(said: Said) -> list[dict[str, Any]]:
    return [
        *({"text": thought, "thought": True} for thought in said.thoughts),
        *({"text": piece} for piece in said.pieces),
        *(
            {
                "functionCall": {"name": call.name, "args": call.arguments},
                **({"thoughtSignature": SIGNATURE} if index == 0 else {}),
            }
            for index, call in enumerate(said.calls)
        ),
    ]


def whole(said: Said) -> bytes:
    """Write a whole answer."""
    return fill(_LAST, parts=_parts(said), **_COUNTS)


def refuse(status: int, said: str) -> bytes:
    """Write a refusal."""
    return fill(_ERROR, code=status, said=said, status=_STATUSES[status])
