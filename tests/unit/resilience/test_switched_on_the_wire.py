"""A change of route before the first content leaves the answer as it would have been, but for clients that ask."""

from __future__ import annotations

import pytest

from backstream.chunks import Content, Finish, Start, Switched
from backstream.dialects.backend_api.stream_out import BackendApiRenderer
from backstream.dialects.base import Envelope
from backstream.dialects.names import dialect_for
from backstream.reply import Block, End

ENVELOPE = Envelope(id="answer", model="alias", created=5)
SWITCHED = Switched(from_="a/m", to="b/m", why="silence", kept="all")
ANSWER: list[Block] = [
    [Start(id="1", model="real")],
    [Content(content="Hi")],
    [Finish(finish={"reason": "stop"})],
    [End("complete", ("finish",))],
]
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")


@pytest.mark.parametrize("name", DIALECTS)
def test_foreign_dialects_name_who_answers_and_say_no_more(name: str) -> None:
    renderers = [dialect_for(name).stream_renderer(ENVELOPE) for _ in range(2)]
    plain = b"".join(renderers[0].render(block) for block in ANSWER)
    switched = b"".join(renderers[1].render(block) for block in ([SWITCHED], *ANSWER))
    assert switched == plain
    assert b"Hi" in plain
    assert b"silence" not in switched


@pytest.mark.parametrize("asked", [True, False])
def test_our_own_protocol_tells_it_to_those_who_ask(asked: bool) -> None:
    rendered = BackendApiRenderer("jsonl", own_types=asked).render([SWITCHED])
    assert rendered == (b'{"type":"switched","from":"a/m","to":"b/m","why":"silence","kept":"all"}\n' if asked else b"")
