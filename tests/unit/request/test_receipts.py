"""Receipts, and the policies on what was dropped."""

from __future__ import annotations

import logging

import pytest

from backstream.errors import UnsupportedFeatureError
from backstream.request import Receipt, Receipts

LOGGER = "backstream.request.receipts"


def collected() -> Receipts:
    receipts = Receipts()
    receipts.kept("temperature")
    receipts.renamed("stop", "stop_sequences")
    receipts.approximated("seed", "random_seed", "it is a hint there")
    receipts.dropped("top_k", "there is none")
    receipts.dropped("messages[1].opaque", "another back-end's", harmless=True)
    return receipts


def test_what_a_receipt_says() -> None:
    receipts = collected()
    assert len(receipts) == 5
    assert list(map(str, receipts)) == [
        "temperature kept",
        "stop renamed as stop_sequences",
        "seed approximated as random_seed (it is a hint there)",
        "top_k dropped (there is none)",
        "messages[1].opaque dropped (another back-end's)",
    ]
    assert list(receipts)[-1] == Receipt("messages[1].opaque", "dropped", None, "another back-end's", harmless=True)


def test_strict_raises_what_was_lost_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    with pytest.raises(UnsupportedFeatureError) as caught:
        collected().settle("strict", "nobody")
    assert "nobody cannot take top_k (there is none)" in str(caught.value)
    assert "opaque" not in str(caught.value)
    assert "warn" in str(caught.value)
    assert not caplog.records


def test_warn_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    assert collected().settle("warn", "nobody") == tuple(collected())
    assert caplog.messages == ["nobody: dropped top_k (there is none)"]


def test_drop_only_notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    assert collected().settle("drop", "nobody") == tuple(collected())
    assert not caplog.records


@pytest.mark.parametrize("policy", ["strict", "warn", "drop"])
def test_what_changes_nothing_minds_nobody(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    receipts = Receipts()
    receipts.dropped("signature", "of another", harmless=True)
    assert len(receipts.settle(policy, "nobody")) == 1  # type: ignore[arg-type]
    assert not caplog.records
