"""The kit for providers: good ones pass, and each promise has a provider that breaks it and is caught."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backstream import BackendApi, Content, Echo, ErrorEvent, Finish, UnknownModelError
from backstream.testing import check_provider

PLUGIN = Path(__file__).parent.parent.parent.parent / "examples" / "plugin"


class Good:
    """A provider that keeps every promise; the bad ones below each break one."""

    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        if model not in ("", "m"):
            raise UnknownModelError(model)
        async for chunk in cls.answer(messages, keywords):
            yield chunk

    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        yield "Hello "
        await asyncio.sleep(0)
        yield Content(content="there")
        yield Finish(finish={"reason": "stop"})


class Silent(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        yield Finish(finish={"reason": "stop"})


class TalksOn(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        yield "Hello"
        yield Finish(finish={"reason": "stop"})
        yield "and"


class FinishesTwice(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        yield "Hello"
        yield Finish(finish={"reason": "stop"})
        yield Finish(finish={"reason": "stop"})


class YieldsErrors(Good):
    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        if model == "m":
            yield "Hello"
        else:
            yield ErrorEvent(error="ModelNotFoundError")


class RaisesOwnErrors(Good):
    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **keywords: Any) -> AsyncIterator[Any]:
        if model != "m":
            raise KeyError(model)
        yield "Hello"


class LeavesTasks(Good):
    tasks: list[Any] = []

    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        cls.tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
        yield "Hello"


class SwallowsCancelling(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            raise ValueError("swallowed") from None
        yield "Hello"


class SharesState(Good):
    busy = False

    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        if cls.busy:
            return
        cls.busy = True
        await asyncio.sleep(0.01)
        cls.busy = False
        yield "Hello"


class WritesToItsClass(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        cls.last = object()  # type: ignore[attr-defined]
        yield "Hello"


class ChangesMessages(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        messages[0]["content"] = "mine"
        yield "Hello"


class ShowsKeys(Good):
    @classmethod
    async def answer(cls, messages: Any, keywords: Any) -> AsyncIterator[Any]:
        if "api_key" in keywords:
            raise UnknownModelError(keywords["api_key"])
        yield "Hello"


class ReturnsAList(Good):
    @classmethod
    def create_async_generator(cls, model: str, messages: Any, **keywords: Any) -> Any:
        return ["Hello"]


@pytest.mark.parametrize("provider", [Good, Good(), Echo, BackendApi])
async def test_good_providers_pass(provider: Any) -> None:
    await check_provider(provider, media=[b"\x89PNG\r\n\x1a\n"] if provider is Echo else None)


@pytest.mark.parametrize(
    ("provider", "check"),
    [
        (ReturnsAList, "starts_nothing"),
        (Silent, "answers_in_chunks"),
        (TalksOn, "ends_once: 1 chunks"),
        (FinishesTwice, "ends_once: the answer finished 2"),
        (YieldsErrors, "raises_its_errors"),
        (RaisesOwnErrors, "raises_its_errors: an unknown model raised KeyError"),
        (LeavesTasks, "leaving_early"),
        (SwallowsCancelling, "cancelling_is_not_swallowed"),
        (SharesState, "two_at_once"),
        (WritesToItsClass, "writes_nothing_to_its_class: the class was written to: last"),
        (ChangesMessages, "changes_nothing"),
        (ShowsKeys, "shows_no_key"),
    ],
)
async def test_each_promise_catches_who_breaks_it(provider: Any, check: str) -> None:
    with pytest.raises(AssertionError, match=check):
        await check_provider(provider, model="m")
    for task in LeavesTasks.tasks:
        task.cancel()


# --- the sample plug-in, installed ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the sample plug-in is installed beside this package."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-index", "--no-build-isolation", "--target", str(folder), str(PLUGIN)]
    subprocess.run(command, check=True, timeout=120)
    return {**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def run(installed: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=installed, capture_output=True, text=True, timeout=120, check=False
    )


def test_an_installed_plug_in_answers(installed: dict[str, str]) -> None:
    code = "import backstream as b; print(b.SyncClient().chat('telegraph/fast', 'Arrived safely. Send money.'))"
    done = run(installed, "-W", "error", "-c", code)
    assert (done.stdout, done.stderr) == ("ARRIVED SAFELY STOP SEND MONEY STOP STOP\n", "")


def test_an_installed_plug_in_is_listed_and_its_models_are_known_by_name(installed: dict[str, str]) -> None:
    code = (
        "import backstream as b; c = b.SyncClient(); print('telegraph' in c.registry().providers());"
        "print([m.id for m in c.models('telegraph')]); print(c.chat('telegraph/', 'x'))"
    )
    done = run(installed, "-c", code)
    assert done.stdout == "True\n['fast', 'slow']\nX STOP\n", done.stderr


def test_the_checks_run_as_tests_of_a_plug_in(installed: dict[str, str]) -> None:
    checks = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "backstream.testing.provider_checks"]
    done = run(installed, *checks, "--rootdir=/", "--backstream-provider=backstream_telegraph:Telegraph")
    assert "10 passed" in done.stdout, done.stdout + done.stderr
    done = run(installed, *checks, "--rootdir=/")
    assert "pass --backstream-provider=MODULE:NAME" in done.stdout + done.stderr
    assert "\n1 error in " in done.stdout
