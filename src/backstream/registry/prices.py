"""What an answer cost: by the configured price, else by a price list that the extra ``prices`` installs.

The list is `genai-prices` (MIT, kept by Pydantic): it lies in the package, nothing is fetched.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import Any

from backstream.chunks import Usage
from backstream.models import Price
from backstream.reply import Cost

__all__ = ["cost_by_list", "cost_by_price", "has_price_list"]

_log = logging.getLogger("backstream.registry.prices")
_MILLION = 1_000_000


def cost_by_price(usage: Usage, price: Price) -> Cost | None:
    """Compute what an answer cost by a configured price; ``None`` where a count or an amount that it takes is unknown.

    Args:
        usage: What it used.
        price: Amounts for a million tokens.
    """
    heard, said = usage.input_tokens, usage.output_tokens
    if heard is None or said is None or price.input is None or price.output is None:
        return None
    cached = min(usage.cached_tokens or 0, heard) if price.cached_input is not None else 0
    amount = (heard - cached) * price.input + cached * (price.cached_input or 0.0) + said * price.output
    return Cost(amount=amount / _MILLION, currency=price.currency, source="configuration")


def has_price_list() -> bool:
    """Tell whether a price list is installed."""
    return importlib.util.find_spec("genai_prices") is not None


def cost_by_list(usage: Usage, model: str, url: str) -> Cost | None:
    """Compute what an answer cost by the price list; ``None`` where the list or the model is not there.

    Importing the list takes some tenths of a second the first time: call it in a thread.

    Args:
        usage: What it used.
        model: The model that answered.
        url: Where the back-end is; the list knows vendors by it.
    """
    heard, said = usage.input_tokens, usage.output_tokens
    if heard is None or said is None or not has_price_list():
        return None
    try:
        prices: Any = importlib.import_module("genai_prices")
        counted = prices.Usage(
            input_tokens=heard,
            output_tokens=said,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            input_audio_tokens=usage.input_audio_tokens,
            output_audio_tokens=usage.output_audio_tokens,
        )
        found = prices.calc_price(counted, model_ref=model, provider_api_url=url)
    except LookupError:
        return None
    except Exception as error:  # noqa: BLE001 - a list that is wrong about a model must not cost the user the answer
        _log.warning("the price list failed for %r: %s", model[:80], type(error).__name__)
        return None
    return Cost(amount=float(found.total_price), currency="USD", source="genai-prices")
