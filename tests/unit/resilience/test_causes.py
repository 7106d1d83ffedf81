"""The table of causes: every class has a row, and the most exact one decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream import errors
from backstream.dialects.anthropic_messages.failures import parse_error as anthropic
from backstream.dialects.openai_chat.failures import parse_error as openai
from backstream.dialects.openai_responses.failures import parse_error as responses
from backstream.errors import BackendRequestError, RateLimitError, UnavailableError
from backstream.resilience.causes import CAUSES, cause_of, render_causes

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "recovery.md"
CLASSES = [getattr(errors, name) for name in errors.__all__]


def made(cls: type[errors.BackstreamError]) -> errors.BackstreamError:
    error = cls.__new__(cls)
    error.args = ("made",)
    return error


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not BackendRequestError])
def test_every_class_of_error_has_a_row_by_inheritance(cls: type[errors.BackstreamError]) -> None:
    row = next(CAUSES[base] for base in cls.__mro__ if base in CAUSES)
    assert cause_of(made(cls)) == row


def test_what_may_be_asked_again_may_be_asked_elsewhere() -> None:
    for cls, row in CAUSES.items():
        assert row.next or not row.again, cls
        assert cls.retryable or not row.again, cls


AGAIN = "ConnectError ProxyError ConnectTimeout DisconnectedError RateLimitError UnavailableError"
STOP = (
    "CallerError ConfigurationError InvalidRequestError InvalidMediaError BackendRequestError ContentRefusedError "
    "TooLargeError TotalTimeout BatchError MisuseError"
)
BROKEN = "TLSError RedirectError ContentTypeError FramingError DecodeError HeadersTimeout IdleTimeout IncompleteStream"
UP = "AuthenticationError PaymentError ModelNotFoundError RateLimitError BackendRequestError ContentRefusedError"


def test_the_rows_are_those_that_were_decided() -> None:
    found = {
        name: cause_of(BackendRequestError("x") if name == "BackendRequestError" else made(getattr(errors, name)))
        for name in errors.__all__
    }
    assert {name for name, cause in found.items() if cause.again} == set(AGAIN.split())
    assert {name for name, cause in found.items() if not cause.next} == {*STOP.split(), "BackstreamError"}
    for name in BROKEN.split():
        assert (found[name].again, found[name].next, found[name].fault) == (False, True, True), name
    for name in UP.split():
        assert found[name].fault is False, name


def test_a_back_end_that_says_not_to_is_not_asked_again() -> None:
    error = UnavailableError("down", status=503)
    assert cause_of(error).again
    error.retryable = False
    assert not cause_of(error).again
    assert cause_of(error).next


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_address_is_that_of_one_route(status: int) -> None:
    error = anthropic(status, {}, b'{"error":{"message":"nothing here","type":"invalid_request_error"}}')
    assert type(error) is BackendRequestError
    assert (cause_of(error).again, cause_of(error).next, cause_of(error).fault) == (False, True, False)


def test_a_request_that_is_too_long_may_go_to_another_model() -> None:
    body = b'{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}'
    for error in (
        openai(400, {}, body),
        openai(None, {}, body),
        responses(400, {}, body),
        openai(500, {}, b'{"error":{"code":500,"message":"m","type":"exceed_context_size_error","n_ctx":256}}'),
        anthropic(413, {}, b'{"type":"error","error":{"type":"request_too_large","message":"m"}}'),
        BackendRequestError("too large", status=413),
    ):
        assert isinstance(error, BackendRequestError)
        cause = cause_of(error)
        assert (cause.again, cause.next, cause.fault) == (False, True, False)
    wrong = openai(400, {}, b'{"error":{"message":"too long, it seems","code":"invalid_prompt"}}')
    assert not cause_of(wrong).next


def test_no_money_is_no_reason_to_ask_again() -> None:
    error = openai(429, {}, b'{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}')
    assert isinstance(error, errors.PaymentError)
    assert (cause_of(error).again, cause_of(error).next) == (False, True)


@pytest.mark.parametrize(("said", "again"), [("false", False), ("False", False), ("true", True)])
def test_the_header_field_of_openai_and_anthropic_is_obeyed(said: str, again: bool) -> None:
    error = openai(429, {"x-should-retry": said}, b"{}")
    assert isinstance(error, RateLimitError)
    assert cause_of(error).again is again


def test_the_page_shows_the_table_as_it_is() -> None:
    assert render_causes() in PAGE.read_text()
    for cls in CAUSES:
        assert f"`{cls.__name__}`" in render_causes()
