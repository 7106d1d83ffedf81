"""A provider that repeats the last message in telegraph style. STOP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from backstream import AsyncGeneratorProvider, Content, Finish, ProviderModelMixin, RawResponse, UnknownModelError

__all__ = ["Telegraph"]


class Telegraph(AsyncGeneratorProvider, ProviderModelMixin):
    """Answer with the user's own words, in capitals, each sentence closed by STOP."""

    label = "Telegraph office"
    default_model = "fast"
    models: ClassVar = ("fast", "slow")

    @classmethod
    async def create_async_generator(
        cls, model: str, messages: Any, media: Any = None, api_key: Any = None, **kwargs: Any
    ) -> AsyncIterator[RawResponse]:
        """Answer. Raises ``UnknownModelError`` for any model but ``fast`` and ``slow``."""
        model = cls.get_model(model)
        if model not in cls.models:
            raise UnknownModelError(model, cls.models)
        said = next((m["content"] for m in reversed(messages) if m["role"] == "user" and m["content"]), "")
        for word in str(said).upper().replace(".", " STOP").split():
            await asyncio.sleep(0.01 if model == "slow" else 0)
            yield Content(content=word + " ")
        yield Content(content="STOP")
        yield Finish(finish={"reason": "stop"})
