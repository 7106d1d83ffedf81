"""The error tree: documented as it is, one line each, and nothing secret in it."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from backstream import errors

CLASSES = {name: getattr(errors, name) for name in errors.__all__}

EXAMPLES = [
    errors.CallerError("a", "b"),
    errors.MissingKeyError("OpenAI", "OPENAI_API_KEY"),
    errors.UnknownModelError("gtp-4", ["gpt-4", "gpt-5"]),
    errors.UnknownModelError("zzz"),
    errors.UnknownProviderError("Ehco", ["Echo"]),
    errors.UnknownProviderError("zzz"),
    errors.InvalidMediaError("empty file", "pick another", index=2),
    errors.ConnectError("refused"),
    errors.DisconnectedError("closed"),
    errors.ConnectTimeout(10, phase="connect", request_sent=False),
    errors.IdleTimeout(0.5),
    errors.RefusedError("no", status=400, kind="bad"),
    errors.RateLimitError("slow down", status=429, retry_after_seconds=2.0),
    errors.TooLargeError("line", 10, setting="max_line_bytes"),
    errors.TooLargeError("head", 10),
    errors.DecodeError("not JSON", index=3),
    errors.DecodeError("not JSON"),
    errors.ContentTypeError("text/html", "Sign in"),
    errors.ContentTypeError(""),
    errors.RedirectError("to another origin", status=307),
    errors.IncompleteStream("cut", text="Hal"),
]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    drawn = set(re.findall(r"[A-Z]\w+(?:Error|Timeout|Stream)\b", errors.__doc__ or "")) - {"TimeoutError"}
    assert drawn == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES.values())
def test_every_error_is_of_the_tree_and_documented(cls: type) -> None:
    assert issubclass(cls, errors.BackstreamError)
    assert inspect.getdoc(cls)
    assert isinstance(cls.retryable, bool)
    assert 400 <= cls.status_hint < 600


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_printable_line(error: errors.BackstreamError) -> None:
    text = str(error)
    assert text
    assert text.isprintable()


def test_a_foreign_text_cannot_add_lines_or_length() -> None:
    error = errors.RefusedError("a\nb\x1b[31m\r" + "x" * 1000)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) <= 300


def test_neither_kind_nor_repr_of_a_refusal_adds_lines_or_length() -> None:
    error = errors.RefusedError("no" * 1_000_000, status=500, kind="a\nb\x1b[31m" * 1000)
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert len(repr(error)) < 500


def test_the_body_of_a_refusal_is_never_in_its_text() -> None:
    error = errors.RefusedError("no", status=400, body=b"the whole prompt")
    assert "prompt" not in str(error) + repr(error)
    assert error.body == b"the whole prompt"


def test_texts_say_what_to_do() -> None:
    assert str(errors.MissingKeyError("OpenAI", "OPENAI_API_KEY")).endswith("set OPENAI_API_KEY or pass api_key=")
    assert "did you mean gpt-4" in str(errors.UnknownModelError("gtp-4", ["gpt-4", "other"]))
    assert "raise max_line_bytes" in str(errors.TooLargeError("line", 10, setting="max_line_bytes"))
    assert str(errors.InvalidMediaError("empty", index=2)).startswith("media[2]: ")
    assert str(errors.RefusedError("no", status=418, kind="teapot")) == "no (418 teapot)"
    assert str(errors.RefusedError("418 no", status=418)) == "418 no"


def test_deadlines_are_timeouts_and_name_their_clock() -> None:
    for cls in errors.DeadlineError.__subclasses__():
        error = cls(2.5)
        assert isinstance(error, TimeoutError)
        assert f"deadline {cls.clock!r}" in str(error)
        assert "2.5 s" in str(error)


def test_status_and_kind_are_data() -> None:
    error = errors.RateLimitError("slow down", status=429, kind="rate", retry_after_seconds=3.0)
    assert (error.status, error.kind, error.retry_after_seconds, error.retryable) == (429, "rate", 3.0, True)
    assert error.phase == "body"
    assert error.request_sent


def test_simple_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(errors.CallerError("a", "b")))
    assert str(error) == "a; b"
