"""What is known of a model: plain values, filled as far as its provider tells. Unknown is ``None``, never 0 or no.

Pure; knows no provider, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["ModelInfo", "Price"]


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a model costs.

    Attributes:
        input: For a million tokens of the request.
        output: For a million tokens of the answer.
        cached_input: For a million tokens of the request that the back-end had cached.
        currency: Its code of three letters (ISO 4217). Default ``USD``.
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    currency: str = "USD"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """One model of one provider.

    Attributes:
        id: Its name, as the provider's requests carry it.
        provider: The provider's name; ``""`` where that goes without saying.
        label: Its name for people.
        context_tokens: How many tokens request and answer may have together.
        max_output_tokens: How many tokens the answer may have.
        input_modalities: What it takes: ``text``, ``image``, ``audio``, ``video``, ``file``.
        output_modalities: What it makes: the same words, and ``embedding``.
        tools: Whether it can call tools.
        reasoning: Whether it can think before it answers.
        counts_tokens: Whether its provider can be asked how many tokens a request has.
        created: When it was made, in Unix seconds.
        owned_by: Who made it.
        price: What it costs.
        raw: The provider's own entry.
    """

    id: str
    provider: str = ""
    label: str | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    counts_tokens: bool | None = None
    created: float | None = None
    owned_by: str | None = None
    price: Price | None = None
    raw: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """``provider/id``, the name a client asks for; ``id`` where the provider is not said."""
        return f"{self.provider}/{self.id}" if self.provider else self.id
