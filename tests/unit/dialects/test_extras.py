"""Members of one dialect's requests only, on their way to another: all noted, some as harmless."""

from __future__ import annotations

import json

import msgspec
import pytest

from backstream.client.explain import explain
from backstream.dialects.names import dialect_for
from backstream.providers.table import ROWS
from backstream.request import Receipts
from backstream.request.call import parse_call

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def dropped(to: str, **members: object) -> dict[str, bool]:
    receipts = explain({**BODY, **members}, to=to).receipts
    return {receipt.what: receipt.harmless for receipt in receipts if receipt.outcome == "dropped"}


@pytest.mark.parametrize("to", ["anthropic_messages", "gemini", "ollama", "backend_api"])
def test_how_a_client_wants_its_stream_is_dropped_harmlessly(to: str) -> None:
    given = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt_cache_key": "k",
        "web_search_options": {},
    }
    assert dropped(to, **given) == {"stream_options": True, "prompt_cache_key": True, "web_search_options": False}


def test_responses_know_some_members_of_chat_completions() -> None:
    given = {"safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h"}
    found = explain({**BODY, **given, "stream_options": {}, "prediction": {}}, to="openai_responses")
    assert {name: found.body.get(name) for name in given} == given
    told = {receipt.what: (receipt.outcome, receipt.harmless) for receipt in found.receipts}
    assert told == {
        **dict.fromkeys(given, ("kept", False)),
        "stream_options": ("dropped", True),
        "prediction": ("dropped", False),
    }


@pytest.mark.parametrize("written_in", ["openai_chat", ""])
def test_the_two_ids_of_a_user_are_both_sent(written_in: str) -> None:
    request = parse_call("m", [{"role": "user", "content": "Hi"}], (), {"user": "u", "safety_identifier": "s"})
    receipts = Receipts()
    rendered = dialect_for("openai_responses").render_request(
        msgspec.structs.replace(request, dialect=written_in), receipts
    )
    body = json.loads(b"".join(piece for piece in rendered.body if isinstance(piece, bytes)))
    assert (body["user"], body["safety_identifier"]) == ("u", "s")
    assert [(receipt.what, receipt.outcome) for receipt in receipts] == [
        ("user", "kept"),
        ("safety_identifier", "kept"),
    ]


@pytest.mark.parametrize("to", ["openai", "azure", "mistral", "groq", "cerebras"])
def test_back_ends_that_refuse_unknown_members_are_not_sent_them(to: str) -> None:
    assert dropped(to, top_k=4, min_p=0.1, repetition_penalty=1.1) == {
        "top_k": False,
        "min_p": False,
        "repetition_penalty": False,
    }


def test_names_of_speakers_are_dropped_where_they_are_refused() -> None:
    named = {**BODY, "messages": [{"role": "user", "name": "Ann", "content": "Hi"}]}
    found = explain(named, to="mistral")
    assert found.body["messages"] == [{"role": "user", "content": "Hi"}]
    assert [receipt.what for receipt in found.receipts if receipt.outcome == "dropped"] == ["messages[0].name"]


def test_openrouter_takes_marks_for_caching_and_documents_by_url() -> None:
    text = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    file = {"type": "file", "file": {"file_data": "https://example.org/a.pdf", "filename": "a.pdf"}}
    found = explain({**BODY, "messages": [{"role": "user", "content": [text, file]}]}, to="openrouter")
    assert found.body["messages"][0]["content"] == [text, file]
    assert all(receipt.outcome != "dropped" for receipt in found.receipts)


def test_rows_name_no_parameter_that_there_is_not() -> None:
    from backstream.request.values import PARAMETERS

    known = {*PARAMETERS, "name", "n", "prediction", "tool_choice", "response_format", "reasoning", "strict"}
    for row in ROWS.values():
        assert set(row.quirks.get("unsupported", ())) <= known, row.name
