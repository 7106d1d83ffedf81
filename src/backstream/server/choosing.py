"""The step every route that asks a provider begins with: who is meant, noted in the record, and allowed to the key."""

from __future__ import annotations

from backstream.errors import UnknownModelError
from backstream.models import ModelInfo
from backstream.server.backends import BackEnd
from backstream.server.routing import Exchange

__all__ = ["choose", "find_model", "list_visible"]


async def choose(exchange: Exchange, model: str) -> BackEnd:
    """Return who answers for a model; of a routing list, its first entry that can be asked.

    Args:
        exchange: The request; its record is told.
        model: The name a client asks for.

    Raises:
        BackstreamError: There is none, or it cannot be asked.
        Refusal: The client's key may not use it.
    """
    back_end = await exchange.back_ends.find(model)
    exchange.record.note_back_end(back_end.name, back_end.model, known=back_end.is_known)
    exchange.admission.check_model(exchange, back_end.name, back_end.model, model)
    return back_end


async def list_visible(exchange: Exchange) -> list[ModelInfo]:
    """Return the models that the request's key may use."""
    return exchange.admission.visible(exchange, await exchange.back_ends.models())


async def find_model(exchange: Exchange, name: str) -> ModelInfo:
    """Return one of them.

    Raises:
        UnknownModelError: There is none of that name.
    """
    models = await list_visible(exchange)
    for model in models:
        if model.name == name:
            return model
    raise UnknownModelError(name, [model.name for model in models])
