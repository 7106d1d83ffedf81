"""Clients of an OpenAI-compatible server, each run in a process, and where it is foreign in an environment, of its own.

``python -m benchmarks.chat_clients NAME PORT LOAD EVENTS`` prints one line of JSON: CPU and wall seconds of the process
while it received, and the events; or ``{"skipped": reason}``. Whatever a client hands over, the text is what must be
right: one piece for each event, none lost, none twice. Only the standard library is imported at the top: this module
also runs where nothing of ours is installed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.upstream import word

LOADS = {
    # name: (streams, events of each, events in a packet, pause between packets in seconds)
    "coalesced": (1, 20_000, 50, 0.0),
    "one a packet": (1, 20_000, 1, 0.0),
    "200 paced streams": (200, 100, 1, 0.02),
    "1,000 paced streams": (1_000, 50, 1, 0.2),
}
MODEL = "bench"
MESSAGES = [{"role": "user", "content": "Go on."}]

Stream = Callable[[list[str]], Awaitable[None]]
"""Receive one stream and append its texts, a piece for each event."""


def base_path(load: str, events: int, framing: str = "packet", mode: str = "chat") -> str:
    """The path, to be put before ``/chat/completions``, that asks the upstream for a load."""
    _, _, packet, pause = LOADS[load]
    return f"/{mode}/events={events}&packet={packet}&pause={pause}&framing={framing}/v1"


def floor(port: int, load: str, events: int) -> Stream:
    """The raw floor: split on the blank line, decode what is needed; no HTTP, no generator, no error handling."""
    import msgspec

    delta = msgspec.defstruct("Delta", [("content", str, "")])
    choice = msgspec.defstruct("Choice", [("delta", delta)])
    completion: Any = msgspec.defstruct("Completion", [("choices", list[choice])])  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(completion).decode
    target = base_path(load, events, "close") + "/chat/completions"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()

    class Floor(asyncio.Protocol):
        def __init__(self, texts: list[str], done: asyncio.Future[None]) -> None:
            self.add, self.done, self.rest = texts.append, done, b""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            transport.write(head)

        def data_received(self, data: bytes) -> None:
            *found, self.rest = (self.rest + data).split(b"\n\n")
            add = self.add
            try:
                for event in found:
                    add(decode(event[event.index(b"data: ") + 6 :]).choices[0].delta.content)
            except msgspec.DecodeError:  # [DONE], behind which nothing comes
                pass

        def connection_lost(self, exc: Exception | None) -> None:
            self.done.set_result(None)

    async def stream(texts: list[str]) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        await loop.create_connection(lambda: Floor(texts, done), "127.0.0.1", port)
        await done

    return stream


def backstream_dialect(port: int, load: str, events: int) -> Stream:
    """Our dialect over our transport: typed chunks, limits and deadlines on."""
    from backstream import Content, End, StreamSession
    from backstream.dialects import openai_chat

    url = f"http://127.0.0.1:{port}{base_path(load, events)}/chat/completions"
    body = {"model": MODEL, "messages": MESSAGES, "stream": True}

    async def stream(texts: list[str]) -> None:
        parser = openai_chat.OpenAIChat().stream_parser()
        async with StreamSession().post(url, json=body) as response:
            last: object = None
            while data := await response.read_block():
                if block := parser.feed(data):
                    texts += [chunk.content for chunk in block if isinstance(chunk, Content)]
                    last = block[-1]
            last = [last, *parser.finish(framed=response.framing != "close")][-1]
        if not isinstance(last, End) or last.state != "complete":
            raise SystemExit(f"the stream ended with {last!r}")

    return stream


def backstream_client(port: int, load: str, events: int) -> Stream:
    """Our client, given the URL of an unknown server; one client for all streams."""
    from backstream import Client, Content

    base = f"http://127.0.0.1:{port}{base_path(load, events)}"
    client = Client()

    async def stream(texts: list[str]) -> None:
        chunks = client.stream(MODEL, MESSAGES, url=base)
        texts += [chunk.content async for chunk in chunks if isinstance(chunk, Content)]

    return stream


def aiohttp_by_hand(port: int, load: str, events: int) -> Stream:
    """What one would write by hand on aiohttp, well: whole reads, split, decoded by type; one session for all."""
    import aiohttp
    import msgspec

    delta = msgspec.defstruct("Delta", [("content", str, "")])
    choice = msgspec.defstruct("Choice", [("delta", delta)])
    completion: Any = msgspec.defstruct("Completion", [("choices", list[choice])])  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(completion).decode
    url = f"http://127.0.0.1:{port}{base_path(load, events)}/chat/completions"
    sessions: list[Any] = []

    async def stream(texts: list[str]) -> None:
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        rest = b""
        async with sessions[0].post(url, json={"model": MODEL, "messages": MESSAGES, "stream": True}) as response:
            async for data in response.content.iter_any():
                *found, rest = (rest + data).split(b"\n\n")
                for event in found:
                    said = event[event.index(b"data: ") + 6 :]
                    if said != b"[DONE]":
                        texts.append(decode(said).choices[0].delta.content)

    return stream


def anthropic(port: int, load: str, events: int) -> Stream:
    """The official library of Anthropic, on events of its own kind; one client for all streams."""
    from anthropic import AsyncAnthropic

    base = f"http://127.0.0.1:{port}{base_path(load, events, mode='claude').removesuffix('/v1')}"
    client: Any = AsyncAnthropic(api_key="unused", base_url=base)

    async def stream(texts: list[str]) -> None:
        answer = await client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=9, stream=True)
        texts += [event.delta.text async for event in answer if event.type == "content_block_delta"]

    return stream


def pydantic_ai(port: int, load: str, events: int) -> Stream:
    """An agent of pydantic-ai, without tools, on its OpenAI model; one agent for all streams."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    base = f"http://127.0.0.1:{port}{base_path(load, events)}"
    agent: Any = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=base, api_key="unused")))

    async def stream(texts: list[str]) -> None:
        async with agent.run_stream("Go on.") as answer:
            texts += [text async for text in answer.stream_text(delta=True, debounce_by=None)]

    return stream


def openai_python(port: int, load: str, events: int) -> Stream:
    """The official library of OpenAI; one client for all streams."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="unused", base_url=f"http://127.0.0.1:{port}{base_path(load, events)}")

    async def stream(texts: list[str]) -> None:
        answer: Any = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        texts += [chunk.choices[0].delta.content or "" async for chunk in answer]

    return stream


def any_llm(port: int, load: str, events: int) -> Stream:
    """any-llm with its OpenAI provider; one provider object for all streams, as its documentation advises."""
    from any_llm import AnyLLM

    base = f"http://127.0.0.1:{port}{base_path(load, events)}"
    provider = AnyLLM.create("openai", api_key="unused", api_base=base)

    async def stream(texts: list[str]) -> None:
        answer: Any = await provider.acompletion(model=MODEL, messages=MESSAGES, stream=True)
        texts += [chunk.choices[0].delta.content or "" async for chunk in answer]

    return stream


def litellm(port: int, load: str, events: int) -> Stream:
    """LiteLLM with its OpenAI provider."""
    import litellm

    asked = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{port}{base_path(load, events)}"}

    async def stream(texts: list[str]) -> None:
        answer: Any = await litellm.acompletion(messages=MESSAGES, stream=True, api_key="unused", **asked)
        texts += [chunk.choices[0].delta.content or "" async for chunk in answer]

    return stream


def g4f(port: int, load: str, events: int) -> Stream:
    """g4f through a provider of its OpenAI kind."""
    from g4f.Provider.template import OpenaiTemplate

    class Bench(OpenaiTemplate):
        base_url = f"http://127.0.0.1:{port}{base_path(load, events)}"
        default_model = MODEL
        models = (MODEL,)  # known, so that none are asked for
        working = True
        needs_auth = False

    async def stream(texts: list[str]) -> None:
        chunks = Bench.create_async_generator(MODEL, MESSAGES, stream=True, api_key="unused")
        texts += [chunk async for chunk in chunks if isinstance(chunk, str)]

    return stream


CLIENTS: dict[str, Callable[[int, str, int], Stream]] = {
    "raw floor": floor,
    "backstream openai_chat": backstream_dialect,
    "backstream Client": backstream_client,
    "aiohttp by hand": aiohttp_by_hand,
    "openai-python": openai_python,
    "anthropic": anthropic,
    "pydantic-ai": pydantic_ai,
    "any-llm": any_llm,
    "litellm": litellm,
    "g4f": g4f,
}


async def run(name: str, port: int, load: str, events: int) -> dict[str, float]:
    """Warm up on short streams, measure, and check what came."""
    streams, make = LOADS[load][0], CLIENTS[name]
    await receive(make(port, load, 50), min(streams, 4), 50)
    stream = make(port, load, events)
    wall, cpu = time.perf_counter(), time.process_time()
    received = await collect(stream, streams)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    check(received, events)
    return {"cpu": cpu, "wall": wall, "events": streams * events}


async def collect(stream: Stream, streams: int) -> list[list[str]]:
    """Receive several streams at once."""
    received: list[list[str]] = [[] for _ in range(streams)]
    await asyncio.gather(*map(stream, received))
    return received


async def receive(stream: Stream, streams: int, events: int) -> None:
    """Receive several streams at once and check them."""
    check(await collect(stream, streams), events)


def check(received: list[list[str]], events: int) -> None:
    """Hold the texts against what the upstream sent: the number of pieces, and every letter."""
    text = "".join(map(word, range(events)))
    for texts in received:
        pieces = sum(map(bool, texts))
        if pieces != events or "".join(texts) != text:
            raise SystemExit(f"{pieces} events of {events}, {sum(map(len, texts))} letters of {len(text)}")


def main() -> None:
    """Measure one client under one load."""
    name, port, load, events = sys.argv[1:]
    try:
        measured: dict[str, Any] = asyncio.run(run(name, int(port), load, int(events)))
    except ImportError as error:
        measured = {"skipped": f"{error}"}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
