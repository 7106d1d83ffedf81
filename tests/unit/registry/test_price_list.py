"""A price list that is broken, or of another version, costs nobody the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstream import Usage
from backstream.registry.prices import cost_by_list

LISTS = {
    "cannot be imported": "raise ImportError('broken')",
    "of another version": "def calc_price(*a, **k): pass",
    "knows fewer counts": "class Usage:\n    def __init__(self, input_tokens, output_tokens): pass",
}


@pytest.fixture(params=LISTS.values(), ids=list(LISTS))
def price_list(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "genai_prices.py").write_text(request.param)
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.modules.pop("genai_prices", None)
    yield
    sys.modules.pop("genai_prices", None)
    if before is not None:
        sys.modules["genai_prices"] = before


def test_a_broken_price_list_knows_no_price(price_list: None, caplog: pytest.LogCaptureFixture) -> None:
    usage = Usage(usage={"prompt_tokens": 1, "completion_tokens": 1})
    assert cost_by_list(usage, "m", "https://api.openai.com/v1") is None
    assert "price list failed" in caplog.text
