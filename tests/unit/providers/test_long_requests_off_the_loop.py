"""Writing a long conversation must not hold up the loop that streams other answers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from backstream import UnsupportedFeatureError
from backstream.dialects.openai_chat import OpenAIChat
from backstream.providers.dialect_provider import DialectProvider
from backstream.registry.rows import row_at
from backstream.request import Request, TextPart, Turn

threads: list[threading.Thread] = []


class _Noting(OpenAIChat):
    """Notes where it is asked to write, and writes nothing."""

    def render_request(self, request: Request, receipts: Any) -> Any:
        threads.append(threading.current_thread())
        raise UnsupportedFeatureError("nothing is sent")


@pytest.mark.parametrize(
    ("turns", "text", "by_the_loop"),
    [(1, "Hi", True), (20, "Hi" * 100, True), (1, "x" * 300_000, False), (2000, "Hi", False)],
    ids=["short", "usual", "a long text", "many short turns"],
)
async def test_long_conversations_are_written_in_a_thread(turns: int, text: str, by_the_loop: bool) -> None:
    threads.clear()
    row = row_at("http://127.0.0.1:9/v1")
    provider = DialectProvider(row, dialect=_Noting())
    request = Request(model="m", turns=(Turn(role="user", parts=(TextPart(text=text),)),) * turns)
    with pytest.raises(UnsupportedFeatureError, match="nothing is sent"):
        await anext(provider.answer(request))
    assert [thread is threading.current_thread() for thread in threads] == [by_the_loop]
