"""What fuzzing found once, what was recorded of back-ends, and a little of what nobody has thought of."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.mutations import damaged
from fuzz.subjects import DATA, subjects

SUBJECTS = subjects()


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_was_found_is_not_found_again(name: str) -> None:
    for data in SUBJECTS[name].found:
        SUBJECTS[name].check(data)


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_was_recorded_is_handled(name: str) -> None:
    assert SUBJECTS[name].seeds
    for data in SUBJECTS[name].seeds:
        SUBJECTS[name].check(data)


@pytest.mark.parametrize("name", SUBJECTS)
def test_damage_is_accepted_or_refused(name: str) -> None:
    subject = SUBJECTS[name]

    @settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        subject.check(data.draw(damaged(subject.seeds)))

    check()


def test_everything_found_has_its_subject() -> None:
    folders = {path.name for path in (DATA / "fuzz").iterdir() if path.is_dir()}
    assert folders <= set(SUBJECTS)


def test_a_decoder_that_fails_is_noticed() -> None:
    """Because a check that cannot fail checks nothing."""
    from fuzz.outcomes import decoded, same_at_any_cut

    class Forgetful:
        def feed(self, data: bytes) -> list[bytes]:
            return data.split(b"\n")

        def finish(self) -> list[bytes]:
            return []

    with pytest.raises(AssertionError, match="cut into"):
        same_at_any_cut(lambda pieces: decoded(Forgetful, pieces), b"ab\ncd")
