"""Which model is taken where nobody said."""

from __future__ import annotations

import pytest

from backstream.models import ModelInfo
from backstream.registry.picking import pick_model


def infos(*names: str) -> list[ModelInfo]:
    return [ModelInfo(id=name, created=created) for created, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "small", "picked"),
    [
        ((), True, None),
        (("text-embedding-3-small", "whisper-1", "dall-e-3", "tts-1"), True, None),
        (("gpt-5", "gpt-5-mini", "gpt-5-nano", "sora-2", "gpt-realtime-mini"), True, "gpt-5-mini"),
        (("gpt-4o-mini", "gpt-5-mini", "gpt-6-mini-preview"), True, "gpt-5-mini"),
        (("gemini-pro", "gemini-flash", "gemini-flash-lite"), True, "gemini-flash"),
        (("claude-haiku-1", "claude-opus-9"), True, "claude-haiku-1"),
        (("gemini-pro", "other"), True, "other"),
        (("nomic-embed-text:latest", "llama3.2", "phi-mini"), False, "llama3.2"),
        (("bge-m3", "all-minilm"), False, None),
    ],
)
def test_a_model_to_talk_to_is_taken(names: tuple[str, ...], small: bool, picked: str | None) -> None:
    found = pick_model(infos(*names), small=small)
    assert (found.id if found else None) == picked


def test_a_model_that_makes_no_text_is_left() -> None:
    makers = [ModelInfo(id="a", output_modalities=("image",)), ModelInfo(id="b", output_modalities=("text", "audio"))]
    found = pick_model(makers)
    assert found is not None
    assert found.id == "b"
