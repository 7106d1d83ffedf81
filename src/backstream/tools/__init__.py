"""Python functions as tools of a model: described, called within limits, their results and errors told as text."""

from __future__ import annotations

from backstream.tools.function import FunctionTool, collect_tools, tool
from backstream.tools.loading import load_tools
from backstream.tools.loop import ToolCall, ToolLimits, ToolOutcome, run_calls

__all__ = [
    "FunctionTool",
    "ToolCall",
    "ToolLimits",
    "ToolOutcome",
    "collect_tools",
    "load_tools",
    "run_calls",
    "tool",
]
