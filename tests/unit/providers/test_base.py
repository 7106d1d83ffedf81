"""What every provider offers, and how any provider's answer is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backstream.chunks import Content, Notice, RawResponse
from backstream.errors import MisuseError
from backstream.providers.base import AsyncGeneratorProvider, ProviderModelMixin, blocks_of


class Lab(AsyncGeneratorProvider, ProviderModelMixin):
    """A provider as a user would write it."""

    url = "http://lab"
    label = "Lab"
    default_model = "small"
    models = ["small", "big"]
    model_aliases = {"s": "small", "either": ["big", "small"]}
    closed = False

    @classmethod
    async def create_async_generator(cls, model: str, messages: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield "text"
        yield {"type": "content", "content": "dict"}
        yield Content(content="chunk")
        yield ValueError("went on")


async def test_any_kind_of_item_becomes_a_chunk() -> None:
    blocks = [block async for block in blocks_of(Lab.create_async_generator("small", []))]
    assert blocks == [
        [Content(content="text")],
        [Content(content="dict")],
        [Content(content="chunk")],
        [Notice(message="ValueError", error="ValueError")],
    ]


async def test_an_awaitable_of_an_iterator_is_awaited() -> None:
    async def start() -> AsyncIterator[Any]:
        return Lab.create_async_generator("small", [])

    assert len([block async for block in blocks_of(start())]) == 4


async def test_leaving_closes_the_provider() -> None:
    log: list[str] = []

    async def answer() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            log.append("closed")

    blocks = blocks_of(answer())
    assert await anext(blocks) == [Content(content="x")]
    await blocks.aclose()
    assert log == ["closed"]


@pytest.mark.parametrize("wrong", [3, "text", [Content(content="x")]])
async def test_no_iterator_is_a_misuse(wrong: object) -> None:
    with pytest.raises(MisuseError, match="not an asynchronous iterator"):
        await anext(blocks_of(wrong))


async def test_an_item_of_another_type_is_a_misuse() -> None:
    async def answer() -> AsyncIterator[object]:
        yield 3

    with pytest.raises(MisuseError, match="yielded a int"):
        await anext(blocks_of(answer()))


async def test_an_iterator_without_aclose_is_read_too() -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert [block async for block in blocks_of(Plain())] == [[Content(content="a")], [Content(content="b")]]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("", "small"),
        (None, "small"),
        ("s", "small"),
        ("either", "big"),
        ("big", "big"),
        ("later", "later"),
        ("ig", "ig"),
    ],
)
def test_the_model_to_send(asked: str | None, sent: str) -> None:
    assert {Lab.get_model(asked) for _ in range(20)} == {sent}


def test_the_models() -> None:
    assert Lab.get_models() == ["small", "big"]

    class One(ProviderModelMixin):
        default_model = "one"

    class Nothing(ProviderModelMixin):
        pass

    assert One.get_models() == ["one"]
    assert Nothing.get_models() == []
    assert Nothing.get_model("") == ""


def test_what_a_provider_tells_of_itself() -> None:
    assert Lab.get_dict() == {"name": "Lab", "url": "http://lab", "label": "Lab"}
    assert Lab.get_parent() == "Lab"
    assert set(AsyncGeneratorProvider.get_parameters()) == {"model", "messages", "media", "api_key"}
    example = AsyncGeneratorProvider.get_parameters(as_json=True)
    assert example["messages"][0]["role"] == "user"
    assert example["api_key"] is None


def test_a_provider_that_does_not_say_how_it_answers() -> None:
    with pytest.raises(NotImplementedError):
        AsyncGeneratorProvider.create_async_generator("m", [])


def test_chunks_are_raw_responses() -> None:
    assert isinstance(Content(content="x"), RawResponse)
