"""What a caller asks for, as typed values: a request, its turns and their parts, its tools, and what became of them."""

from backstream.request.parts import (
    MediaKind,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from backstream.request.receipts import Outcome, Policy, Receipt, Receipts
from backstream.request.values import PARAMETERS, ReasoningSettings, Request, ResponseFormat, Tool, ToolChoice

__all__ = [
    "PARAMETERS",
    "MediaKind",
    "MediaPart",
    "OpaquePart",
    "Outcome",
    "Part",
    "Policy",
    "ReasoningPart",
    "ReasoningSettings",
    "Receipt",
    "Receipts",
    "RefusalPart",
    "Request",
    "ResponseFormat",
    "TextPart",
    "Tool",
    "ToolCallPart",
    "ToolChoice",
    "ToolResultPart",
    "Turn",
]
