"""Options, messages and credentials: closed lists, clear refusals, nothing shown that is secret."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from backstream.credentials import Secret, mask
from backstream.errors import ConfigurationError, InvalidRequestError
from backstream.messages import check_messages
from backstream.options import CallOptions, Deadlines, parse_timeout, split_options

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("timeout", "connect", "idle"),
    [(30, 10.0, 30), ((5, 60), 5, 60), (None, 10.0, None), (0, 10.0, None), ((None, 0), None, None)],
)
def test_a_plain_timeout_means_idle(timeout: Any, connect: float | None, idle: float | None) -> None:
    deadlines = parse_timeout(timeout)
    assert (deadlines.connect, deadlines.idle) == (connect, idle)
    assert deadlines.total is None


def test_deadlines_pass_through() -> None:
    deadlines = Deadlines(total=3)
    assert parse_timeout(deadlines) is deadlines


@pytest.mark.parametrize("wrong", [-1, 0, float("inf"), float("nan"), True, "5"])
def test_a_deadline_is_a_positive_number(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="deadline total"):
        Deadlines(total=wrong)


def test_a_timeout_of_three_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="connect, idle"):
        parse_timeout((1, 2, 3))  # type: ignore[arg-type]


def test_local_keywords_never_reach_the_body() -> None:
    options, body = split_options(
        {
            "temperature": 0.7,
            "timeout": 5,
            "stream_timeout": 9,
            "proxy": "http://user:pw@h:1",
            "on_progress": print,
            "conversation": None,
        }
    )
    assert body == {"temperature": 0.7, "conversation": None}
    assert options.deadlines.idle == 5
    assert options.proxy == "http://user:pw@h:1"
    assert options.on_progress is print
    assert "pw" not in repr(options)


def test_deadlines_win_over_timeout_and_both_over_options() -> None:
    given = CallOptions(deadlines=Deadlines(total=1), proxy="http://a")
    assert split_options({"options": given})[0] is given
    assert split_options({"options": given, "timeout": 2})[0].deadlines == Deadlines(idle=2)
    both = {"options": given, "timeout": 2, "deadlines": Deadlines(total=7)}
    assert split_options(both)[0].deadlines == Deadlines(total=7)


@pytest.mark.parametrize("wrong", [{"options": 3}, {"deadlines": 3}])
def test_options_of_another_type_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        split_options(wrong)


def test_messages_have_a_role_and_content() -> None:
    check_messages([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}])
    check_messages(({"role": "user", "content": [{"type": "text", "text": "Hi"}]},))
    check_messages([])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("Hi", "messages is a str"),
        ({"role": "user"}, "messages is a dict"),
        (None, "messages is a NoneType"),
        (["Hi"], r"messages\[0\] is a str"),
        ([{"content": "Hi"}], r"messages\[0\] has no role"),
        ([{"role": "user", "content": 3}], r"messages\[0\] has content"),
    ],
)
def test_messages_of_another_shape_are_refused(wrong: Any, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        check_messages(wrong)


def test_a_masked_key_tells_two_keys_apart_and_opens_nothing() -> None:
    assert mask(KEY) == mask(KEY) != mask(KEY + "x")
    assert len(mask(KEY)) == len("key:") + 8
    assert KEY not in mask(KEY)


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(KEY, origin="https://h")
    shown = f"{secret!r} {secret} {secret:>40} {vars(secret) if hasattr(secret, '__dict__') else ''}"
    assert KEY not in shown
    assert secret.masked in shown
    assert secret.reveal() == KEY
    assert secret.origin == "https://h"
    assert secret == Secret(KEY, origin="https://h") != Secret(KEY)
    assert len({secret, Secret(KEY, origin="https://h")}) == 1
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_rotating_secret_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is a int"):
        Secret(lambda: 5).reveal()  # type: ignore[arg-type,return-value]


def test_a_rotating_secret_is_asked_each_time() -> None:
    keys = iter(["one", "two", ""])
    secret = Secret(lambda: next(keys))
    assert (secret.reveal(), secret.reveal()) == ("one", "two")
    assert secret.masked == "key:rotating"
    with pytest.raises(ConfigurationError, match="empty"):
        secret.reveal()


@pytest.mark.parametrize("wrong", ["", "  ", "key\n", "k\0ey", "k\x7f"])
def test_a_key_no_header_could_carry_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        Secret(wrong)
