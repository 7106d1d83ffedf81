"""What is known of a model, as a value."""

from __future__ import annotations

import msgspec

from backstream.models import ModelInfo, Price


def test_a_model_says_how_a_client_names_it() -> None:
    assert ModelInfo(id="meta/llama", provider="groq").name == "groq/meta/llama"
    assert ModelInfo(id="llama").name == "llama"


def test_what_is_unknown_is_absent_and_comes_back_so() -> None:
    known = ModelInfo(id="a", tools=False, price=Price(input=0.0))
    raw = msgspec.json.encode(known)
    assert raw == b'{"id":"a","tools":false,"price":{"input":0.0}}'
    assert msgspec.json.decode(raw, type=ModelInfo) == known
