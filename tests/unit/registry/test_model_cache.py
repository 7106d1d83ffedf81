"""Lists of models, kept in memory and on the disk."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from backstream.errors import ConfigurationError, ConnectError
from backstream.models import ModelInfo
from backstream.registry.models import Fetch, ModelCache, default_cache_folder

NAME = "acme https://api.acme.example/v1 ACME_API_KEY is set"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Gives another list each time, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def __call__(self) -> Sequence[ModelInfo]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [ModelInfo(id=f"model-{self.asked}", context_tokens=5, raw={"echo": "sk-canary"})]


def ids(models: Sequence[ModelInfo]) -> list[str]:
    return [model.id for model in models]


async def test_a_list_is_asked_for_once_an_hour() -> None:
    clock, source = Clock(), Source()
    cache = ModelCache(clock=clock)
    assert cache.known(NAME) == ()
    assert ids(await cache.get(NAME, source)) == ["model-1"]
    clock.now += 3599
    assert ids(await cache.get(NAME, source)) == ["model-1"]
    clock.now += 1
    assert ids(await cache.get(NAME, source)) == ["model-2"]
    assert ids(await cache.get(NAME, source, refresh=True)) == ["model-3"]
    assert ids(cache.known(NAME)) == ["model-3"]
    assert ids(await cache.get("other", source)) == ["model-4"]


async def test_another_process_takes_a_list_of_the_disk_for_a_day(tmp_path: Path) -> None:
    clock, source = Clock(), Source()
    await ModelCache(tmp_path / "models", clock=clock).get(NAME, source)
    clock.now += 86399
    again = ModelCache(tmp_path / "models", clock=clock)
    assert ids(await again.recall(NAME)) == ["model-1"]
    assert ids(await again.get(NAME, source)) == ["model-1"]
    clock.now += 1
    later = ModelCache(tmp_path / "models", clock=clock)
    assert ids(await later.recall(NAME)) == []
    assert ids(await later.get(NAME, source)) == ["model-2"]
    clock.now -= 3600  # a list from the future is not believed
    assert ids(await ModelCache(tmp_path / "models", clock=clock).get(NAME, source)) == ["model-3"]


async def test_the_file_is_the_owner_s_and_holds_nothing_the_provider_could_have_put_there(tmp_path: Path) -> None:
    await ModelCache(tmp_path / "models").get(NAME, Source())
    (file,) = (tmp_path / "models").iterdir()
    assert file.name.startswith("acme-")
    assert "canary" not in file.read_text()
    assert '"context_tokens":5' in file.read_text()
    if os.name == "posix":
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_a_list_that_may_not_be_kept_is_not_on_the_disk(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models")
    assert ids(await cache.get(NAME, Source(), keep=False)) == ["model-1"]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("raw", [b"", b"{", b'{"identity":1}', b"\xff", b"[" * 100_000])
async def test_a_corrupt_file_is_passed_over_and_written_anew(tmp_path: Path, raw: bytes) -> None:
    source = Source()
    await ModelCache(tmp_path).get(NAME, source)
    (file,) = tmp_path.iterdir()
    file.write_bytes(raw)
    assert ids(await ModelCache(tmp_path).get(NAME, source)) == ["model-2"]
    assert b'"model-2"' in file.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


async def test_a_file_of_another_list_is_not_taken(tmp_path: Path) -> None:
    source = Source()
    await ModelCache(tmp_path).get(NAME, source)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"acme", b"evil"))
    assert ids(await ModelCache(tmp_path).get(NAME, source)) == ["model-2"]


async def test_a_disk_that_cannot_be_written_fails_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ids(await ModelCache(tmp_path / "file" / "models").get(NAME, Source())) == ["model-1"]
    taken = ModelCache(tmp_path)
    await taken.get(NAME, Source())
    file = next(each for each in tmp_path.iterdir() if each.suffix == ".json")
    file.unlink()
    file.mkdir()  # it cannot be replaced by a file
    assert ids(await taken.get(NAME, Source(), refresh=True)) == ["model-1"]
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".models-")]


async def test_of_several_callers_one_asks() -> None:
    source = Source()
    cache = ModelCache()
    lists = await asyncio.gather(*(cache.get(NAME, source) for _ in range(5)))
    assert [ids(models) for models in lists] == [["model-1"]] * 5
    refreshed = await asyncio.gather(*(cache.get(NAME, source, refresh=True) for _ in range(5)))
    assert {model for models in refreshed for model in ids(models)} == {"model-2"}


async def test_where_the_provider_cannot_be_asked_the_old_list_serves_on(caplog: pytest.LogCaptureFixture) -> None:
    clock, source = Clock(), Source()
    cache = ModelCache(clock=clock)
    source.error = ConnectError("not connected")
    with pytest.raises(ConnectError):
        await cache.get(NAME, source)
    source.error = None
    await cache.get(NAME, source)
    clock.now += 3600
    source.error = ConnectError("not connected")
    with caplog.at_level(logging.WARNING, "backstream.registry"):
        assert ids(await cache.get(NAME, source)) == ["model-2"]
    assert caplog.messages == ["an old list of models is used: not connected"]
    with pytest.raises(ConnectError):
        await cache.get(NAME, source, refresh=True)
    source.error = ConfigurationError("a wrong setting is told, old list or not")
    with pytest.raises(ConfigurationError):
        await cache.get(NAME, source)


def test_one_cache_serves_several_loops() -> None:
    cache, source = ModelCache(), Source()

    async def twice(fetch: Fetch) -> None:
        await asyncio.gather(cache.get(NAME, fetch, refresh=True), cache.get(NAME, fetch, refresh=True))

    for _ in range(2):
        asyncio.run(twice(source))
    assert 2 <= source.asked <= 4


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/backstream/models")
    assert default_cache_folder({"HOME": "/h"}) == Path("/h/.cache/backstream/models")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "backstream" / "models"
