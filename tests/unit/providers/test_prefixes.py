"""Who is known to go on with the begin of an answer."""

from __future__ import annotations

import pytest

from backstream.dialects.names import dialect_for
from backstream.providers.prefixes import PREFIXES, takes_prefix
from backstream.providers.table import ROWS, row


@pytest.mark.parametrize(
    ("provider", "model", "takes"),
    [
        ("anthropic", "claude-3-5-haiku-latest", True),
        ("anthropic", "claude-sonnet-4-20250514", True),
        ("anthropic", "claude-opus-4-1", True),
        ("anthropic", "claude-haiku-4-5-20251001", True),
        ("anthropic", "claude-sonnet-4-5", True),
        ("anthropic", "claude-opus-4-6", False),
        ("anthropic", "claude-sonnet-4-6", False),
        ("anthropic", "claude-opus-4-10", False),
        ("anthropic", "claude-opus-5", False),
        ("anthropic", "another", False),
        ("gemini", "gemini-2.5-flash", True),
        ("gemini", "models/gemini-3.1-pro-preview", True),
        ("gemini", "gemini-3-flash-preview", True),
        ("gemini", "gemini-3.5-flash-lite", False),
        ("gemini", "gemini-3.6-flash", False),
        ("gemini", "gemini-4", False),
        ("ollama", "llama3.2:latest", True),
        ("openai", "gpt-5", False),
        ("openai-responses", "gpt-5", False),
        ("mistral", "mistral-large-latest", True),
        ("deepseek", "deepseek-chat", False),
        ("vllm", "Qwen/Qwen3-8B", True),
        ("sglang", "Qwen/Qwen3-8B", True),
        ("llamacpp", "any", True),
        ("openrouter", "meta-llama/llama-3.1-70b-instruct", True),
        ("openrouter", "anthropic/claude-sonnet-4.5", True),
        ("openrouter", "anthropic/claude-sonnet-4.6", False),
        ("openrouter", "google/gemini-3.6-flash", False),
        ("openrouter", "openai/gpt-5", False),
        ("openrouter", "openai/o3", False),
        ("groq", "llama-3.3-70b-versatile", False),
    ],
)
def test_who_goes_on(provider: str, model: str, takes: bool) -> None:
    assert takes_prefix(row(provider), model) is takes


def test_every_dialect_of_the_table_has_a_row_and_a_source() -> None:
    assert {each.dialect for each in ROWS.values()} <= set(PREFIXES)
    assert all(each.source for each in PREFIXES.values())


def test_every_row_of_a_dialect_can_be_made() -> None:
    assert all(dialect_for(each.dialect, each.quirks) for each in ROWS.values() if "prefix" in each.quirks)
