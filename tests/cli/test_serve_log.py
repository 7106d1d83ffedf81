"""What ``serve`` writes to standard error for each request."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.cli.logs import show_requests
from backstream.server.records import RequestRecord

SERVER = logging.getLogger("backstream.server")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    loggers = [logging.getLogger("backstream"), SERVER]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    formatters = [(handler, handler.formatter) for logger in loggers for handler in logger.handlers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers
    for handler, formatter in formatters:
        handler.setFormatter(formatter)


def record_of(**values: Any) -> RequestRecord:
    record = RequestRecord("GET")
    for name, value in values.items():
        setattr(record, name, value)
    return record


def test_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("text")
    record_of(route="health", status=200, provider="a\x1b[2Jb\x9b").write()
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z id=[0-9a-f]{16} "
        r"route=health provider=\"a\\u001b\[2Jb\\u009b\" status=200 "
        r"end=complete chunks=0 seconds=[0-9.e-]+\n",
        line,
    )


def test_what_is_told_besides_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("text")
    SERVER.info("kept for --verbose")
    SERVER.info("read again", extra={"told": True})
    assert capsys.readouterr().err.endswith("read again\n")
    SERVER.info("read again", extra={"told": False})
    assert capsys.readouterr().err == ""


def test_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("text")
    show_requests("json")
    record = record_of(route="health", status=200)
    record.write()
    SERVER.warning("odd\nthing %s", 1)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert list(first) == ["time", "level", *record.values()]
    assert {name: first[name] for name in record.values()} == record.values()
    assert (first["level"], first["key"]) == ("info", None)
    assert {name: second[name] for name in second if name != "time"} == {
        "level": "warning",
        "logger": "backstream.server",
        "message": "odd\nthing 1",
    }


def test_off_leaves_the_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("off")
    record_of(route="health").write()
    SERVER.error("defect at\nline 3")
    assert re.fullmatch(r"\S+Z error backstream.server: defect at line 3\n", capsys.readouterr().err)


def test_other_loggers_and_news_stay_silent(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("text")
    SERVER.info("a detail")
    logging.getLogger("backstream.request.receipts").warning("a parameter")
    assert capsys.readouterr().err == ""


def test_a_verbose_log_has_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("backstream")
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)
    show_requests("json")
    record_of(route="health").write()
    SERVER.info("a detail")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("route", line.get("message")) for line in lines] == ["health", "a detail"]


def test_a_log_that_nobody_reads_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_requests("text")

    class Closed:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    handler: Any = logging.getLogger("backstream").handlers[-1]
    handler.setStream(Closed())
    record_of(route="health").write()
    assert capsys.readouterr().err == ""
