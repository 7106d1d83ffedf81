"""Local options of the wrong type are told before anything is sent, and name what to pass."""

from __future__ import annotations

from typing import Any

import pytest

from backstream import ConfigurationError, Recovery
from backstream.options import CallOptions, recovery_changes, split_options


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"on_progress": 3}, "on_progress cannot be called"),
        ({"extra_headers": [("a", "b")]}, "extra_headers is a list"),
        ({"extra_query": "a=b"}, "extra_query is a str"),
        ({"extra_body": b"{}"}, "extra_body is a bytes"),
        ({"receipts": "loud"}, "strict, warn, drop"),
        ({"options": {"proxy": ""}}, "options is a dict"),
        ({"deadlines": 3}, "deadlines is no Deadlines object"),
        ({"timeout": (1, 2, 3)}, "tuple of other than two"),
        ({"retries": 1}, "retries is for a Client"),
        ({"recovery": None}, "recovery is for a Client"),
    ],
)
def test_local_options_of_the_wrong_type(keywords: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        split_options(keywords)


def test_what_is_none_leaves_the_options_as_they_are() -> None:
    options = CallOptions(proxy="", receipts="drop")
    assert split_options({"options": options, "proxy": None, "receipts": None, "own": 1}) == (options, {"own": 1})


def test_the_short_keywords_of_recovery() -> None:
    assert recovery_changes({"recovery": Recovery(retries=1), "seed": 3}) == {}
    said = {"retries": 0, "mid_stream": "whole", "switch_after": None, "hedge_after": 2.0}
    assert recovery_changes({**said, "temperature": 1}) == said
    assert recovery_changes({"retries": None, "mid_stream": None, "hedge_after": None}) == {"hedge_after": None}
    with pytest.raises(ConfigurationError, match="recovery is no Recovery"):
        recovery_changes({"recovery": {"retries": 1}})
