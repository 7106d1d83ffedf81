from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.providers.recorder_file import Recording
from backstream.testing import recorded
from backstream.testing.recorded import check_recorded_cuts, count_kinds, play, write_fixture

BODY = b'{"type": "content", "content": "a"}\n{"type": "content", "content": "b"}\n{"type": "finish"}\n'
RECORDING = Recording(
    id="1-a",
    recorded_at="2026-11-22T00:00:00",
    provider="home",
    dialect="backend_api",
    reads=[(0, 10), (5, len(BODY) - 10)],
    framing="close",
)


def test_a_fixture_plays_what_was_recorded(tmp_path: Path) -> None:
    paths = write_fixture(tmp_path / "made", RECORDING, BODY)
    chunks, end = play(paths[1])
    assert count_kinds(chunks) == [("content", 2), ("finish", 1)]
    assert end.state == "complete"
    check_recorded_cuts(paths[1])


def test_what_is_no_fixture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no fixture"):
        play(tmp_path / "none.json")
    (tmp_path / "some.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="no fixture"):
        play(tmp_path / "some.json")


def test_a_parser_that_cuts_matter_to_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Because a check that cannot fail checks nothing."""
    path = write_fixture(tmp_path, RECORDING, BODY)[1]
    real = recorded.replay
    monkeypatch.setattr(recorded, "replay", lambda head, body: real(head, body[: len(head.reads) * 40]))
    with pytest.raises(AssertionError, match="other chunks"):
        check_recorded_cuts(path)
