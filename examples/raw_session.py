"""The HTTP client alone: any JSON or event stream, with deadlines and caps, and without a provider."""

import asyncio
from contextlib import aclosing

from backstream import Deadlines, RefusedError, StreamSession
from backstream.providers.embedded import embedded_url
from backstream.wire.sse import SSEDecoder


async def main() -> None:
    server = await embedded_url()  # or any other server's address
    conversation = f"{server}/backend-api/v2/conversation"
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}

    async with StreamSession(deadlines=Deadlines(headers=10, idle=60)) as session:
        async with session.get(f"{server}/backend-api/v2/version") as response:
            print(response.status, sorted(await response.json()))

        async with session.post(conversation, json=body) as response:
            decoder, types = SSEDecoder(), []
            async for block in response.iter_content():
                types += [event.type for event in decoder.feed(block)]
            print("events:", " ".join(sorted(set(types))))

        async with (
            session.post(conversation, json=body, headers={"Accept": "application/x-ndjson"}) as response,
            aclosing(response.iter_lines()) as lines,
        ):
            async for line in lines:
                print("first line:", line[:20].decode())
                break

        async with session.post(conversation, data=b"not JSON") as response:
            try:
                response.raise_for_status()
            except RefusedError as error:
                print(type(error).__name__, error.status)


if __name__ == "__main__":
    asyncio.run(main())
