"""OpenAI's Responses API as a dialect, for providers and for servers."""

from backstream.dialects.openai_responses.dialect import OpenAIResponses

__all__ = ["OpenAIResponses"]
