"""Which model to take of a list, where nobody said. Pure; a guess by names, made only when there is nothing better."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from backstream.models import ModelInfo

__all__ = ["pick_model"]

_OTHER_WORK: Final = re.compile(
    r"embed|minilm|\bbge|paraphrase|rerank|moderation|guard|whisper|transcri|tts|speech|audio|voice|realtime|\blive\b"
    r"|image|dall-e|diffusion|flux|sora|veo|video|ocr|search|research|robotics|computer|babbage|davinci|instruct-\d|aqa",
    re.IGNORECASE,
)
_SMALL: Final = re.compile(r"(?<![a-z])mini\b|flash|haiku|small|fast", re.IGNORECASE)
_UNSURE: Final = re.compile(r"preview|\bexp|beta|nano|lite", re.IGNORECASE)


def pick_model(models: Sequence[ModelInfo], *, small: bool = True) -> ModelInfo | None:
    """Take a model to talk to.

    Args:
        models: What there is, in the provider's order.
        small: Prefer what costs little: names like ``mini`` or ``flash``, and of those the newest, no previews. Without
            it the provider's order stands.

    Returns:
        The model; ``None`` where none of them is made for conversation.
    """
    talking = [each for each in models if _talks(each)]
    if small:
        talking.sort(key=lambda each: (not _SMALL.search(each.id), bool(_UNSURE.search(each.id)), -(each.created or 0)))
    return talking[0] if talking else None


def _talks(model: ModelInfo) -> bool:
    if model.output_modalities is not None and "text" not in model.output_modalities:
        return False
    return not _OTHER_WORK.search(model.id)
