"""Header fields that a vendor's SDK looks for, on answers and on refusals of its routes."""

from __future__ import annotations

import pytest

from support_server import CONVERSATION, HELLO, running

ASKED = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("body", "status"), [(ASKED, 200), ({**ASKED, "stream": True}, 200), ({**ASKED, "model": "echo-fail-rate"}, 429)]
)
async def test_anthropics_clients_find_the_id_of_the_request(body: object, status: int) -> None:
    async with running() as server:
        answer = await server.ask("POST", "/v1/messages", body)
        others = [await server.ask("POST", "/v1/chat/completions", body), await server.ask("POST", CONVERSATION, HELLO)]
    assert answer.status == status
    assert answer.header("request-id") == answer.header("x-request-id") is not None
    assert [other.header("request-id") for other in others] == [None, None]
