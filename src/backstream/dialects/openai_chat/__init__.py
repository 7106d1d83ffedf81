"""OpenAI's chat completions, and what the many servers that speak them do otherwise."""

from backstream.dialects.openai_chat.dialect import OpenAIChat
from backstream.dialects.openai_chat.quirks import Quirks

__all__ = ["OpenAIChat", "Quirks"]
