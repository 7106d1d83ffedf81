"""What a request would become, without sending it."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.client.explain import explain
from backstream.errors import InvalidRequestError, UnknownProviderError, UnsupportedFeatureError

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "seed": 1}


def test_by_the_name_of_a_provider_and_a_model() -> None:
    found = explain(ASKED, to="anthropic/claude-x")
    assert (found.provider, found.dialect, found.url) == (
        "anthropic",
        "anthropic_messages",
        "https://api.anthropic.com/v1/messages",
    )
    assert found.body["model"] == "claude-x"
    assert "anthropic-version" in found.headers
    assert [(receipt.what, receipt.outcome) for receipt in found.receipts] == [
        ("max_tokens", "kept"),
        ("seed", "dropped"),
    ]


def test_by_the_name_of_a_dialect_from_another_dialect() -> None:
    written = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5}}
    found = explain(written, to="openai_chat", written_in="gemini")
    assert (found.provider, found.url) == ("openai_chat", "/chat/completions")
    assert found.body["messages"] == [{"role": "user", "content": "Hi"}]


def test_parameters_of_the_url_are_shown() -> None:
    assert explain({**ASKED, "stream": True}, to="gemini/g").url.endswith("/models/g:streamGenerateContent?alt=sse")


def test_media_are_shortened() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    asked = {**ASKED, "messages": [{"role": "user", "content": [image]}]}
    shown = explain(asked, to="openai").body["messages"][0]["content"][0]["image_url"]["url"]
    assert len(shown) < 100
    assert shown.endswith("characters)")


@pytest.mark.parametrize(
    ("members", "to", "error", "told"),
    [
        (ASKED, "opnai/gpt-5", UnknownProviderError, "openai"),
        ([], "openai", InvalidRequestError, "the request is a JSON list; pass an object"),
        (
            {**ASKED, "messages": [{"role": "user", "content": [{"type": "video_url", "video_url": "https://a/b"}]}]},
            "anthropic",
            UnsupportedFeatureError,
            "video",
        ),
    ],
)
def test_what_cannot_be_translated_is_told(members: Any, to: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        explain(members, to=to)
