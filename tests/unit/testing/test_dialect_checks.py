"""The kit for dialects: every dialect of the house passes, and broken ones are caught."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from backstream import End, ModelInfo, RateLimitError
from backstream.dialects.base import ModelPage
from backstream.dialects.names import DIALECTS, dialect_for
from backstream.errors import ConfigurationError
from backstream.reply import Block
from backstream.request import Receipts, Request
from backstream.testing import check_dialect


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_keeps_its_contract(name: str) -> None:
    dialect = dialect_for(name)
    assert dialect.name == name
    check_dialect(dialect)


def test_a_dialect_or_quirk_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="openai_chat"):
        dialect_for("openai")
    with pytest.raises(ConfigurationError, match="maxtokens"):
        dialect_for("openai_chat", {"maxtokens": "x"})


class Broken:
    """A dialect that hands everything to a good one; the bad ones below each override one thing."""

    def __init__(self) -> None:
        self.good = dialect_for("openai_chat")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.good, name)


class TellsNoReceipts(Broken):
    def render_request(self, request: Request, receipts: Receipts) -> Any:
        return self.good.render_request(request, Receipts())


class ForgetsStreaming(Broken):
    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        return self.good.parse_request({**members, "stream": True}, path)


class TakesCutForWhole(Broken):
    def stream_parser(self, options: Any = None) -> Any:
        parser = self.good.stream_parser(options)

        class Trusting:
            def feed(self, data: bytes) -> Block:
                return parser.feed(data)

            def finish(self, *, framed: bool) -> Block:
                block = parser.finish(framed=framed)
                return [*block[:-1], End("complete", ("trust",))]

        return Trusting()


class CallsEveryRefusalARate(Broken):
    def parse_error(self, status: int | None, headers: Mapping[str, str], body: bytes) -> Any:
        return RateLimitError("slow down")


class LosesModels(Broken):
    def parse_models(self, body: bytes) -> ModelPage:
        return ModelPage(models=(ModelInfo(id="m1"),))


class ForeignErrors(Broken):
    def parse_reply(self, body: bytes) -> Block:
        if b"\xff" in body:
            raise KeyError("x")
        return self.good.parse_reply(body)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (TellsNoReceipts, "no receipt for max_tokens"),
        (ForgetsStreaming, "stream is True after parsing"),
        (TakesCutForWhole, "passes for whole"),
        (CallsEveryRefusalARate, "BackendRequestError became RateLimitError"),
        (LosesModels, "a list of models became"),
    ],
)
def test_a_broken_dialect_is_caught(broken: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_dialect(broken())


def test_foreign_errors_are_not_caught_quietly() -> None:
    with pytest.raises(KeyError):
        check_dialect(ForeignErrors())  # type: ignore[arg-type] # it hands on what it lacks
