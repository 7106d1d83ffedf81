import base64
import json
import pathlib
import random

import pytest

from backstream.testing.chop import chop
from backstream.wire.sse import SSEDecoder

DATA = pathlib.Path(__file__).parents[2] / "data" / "sse-contract" / "cases.json"
CASES = json.loads(DATA.read_text(encoding="utf-8"))["cases"]


def check(case, pieces):
    comments = []
    decoder = SSEDecoder(on_comment=comments.append)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert decoder.finish() == []
    assert [{"type": event.type, "data": event.data, "id": event.id} for event in events] == case["events"]
    if "comments" in case:
        assert comments == case["comments"]
        assert decoder.comments == len(comments)
    if "retry_ms" in case:
        assert decoder.retry_ms == case["retry_ms"]
    if "last_event_id_after" in case:
        assert decoder.last_event_id == case["last_event_id_after"]


def test_all_cases_are_there():
    assert len(CASES) == 139


@pytest.mark.parametrize("case", CASES, ids=[f"{case['suite']}-{case['name']}" for case in CASES])
def test_case_as_given_and_under_every_cut(case):
    given = [base64.b64decode(piece) for piece in case["chunks_b64"]]
    check(case, given)
    for pieces in chop(b"".join(given)):
        check(case, pieces)


def test_large_message_in_one_piece():
    text = base64.b64encode(random.Random(1).randbytes(5 * 1024 * 1024)).decode()
    [event] = SSEDecoder().feed(f"data: {text}\n\n".encode())
    assert event.data == text


@pytest.mark.parametrize("size", [1024, 65536, 8 * 1024 * 1024])
def test_large_message_in_many_pieces(size):
    text = base64.b64encode(random.Random(2).randbytes(10 * 1024 * 1024)).decode()
    stream = f"data: {text}\n\n".encode()
    decoder = SSEDecoder()
    events = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]
    assert [event.data == text for event in events] == [True]
