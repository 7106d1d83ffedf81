"""Write a provider, serve it, and talk to it over the wire.

Run it as it is, and it asks itself one question and ends. Run it with a port, and it serves until Ctrl-C.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from backstream import (
    AsyncGeneratorProvider,
    BackendApi,
    Finish,
    InvalidRequestError,
    MediaListType,
    Messages,
    ProviderModelMixin,
    RawResponse,
)
from backstream.server import Settings, create_app
from backstream.server.run import serve


class Backwards(AsyncGeneratorProvider, ProviderModelMixin):
    """Answers with the question, backwards."""

    label = "Backwards"
    default_model = "backwards-1"

    @classmethod
    async def create_async_generator(
        cls, model: str, messages: Messages, media: MediaListType = None, api_key: Any = None, **kwargs: Any
    ) -> AsyncIterator[RawResponse | str]:
        if media:
            raise InvalidRequestError("Backwards reads text only", "send no media")
        for word in reversed(str(messages[-1].get("content", "")).split()):
            yield word[::-1] + " "
        yield Finish(finish={"reason": "stop"})


async def ask(server: str) -> None:
    class Here(BackendApi):
        url = server

    print(await Here.fetch_models())
    async for chunk in Here.create_async_generator("backwards-1", [{"role": "user", "content": "Was it a cat I saw?"}]):
        print(chunk, end="", flush=True)
    print()


async def main() -> None:
    app = create_app([Backwards], Settings(keys_file=None))  # for this machine only, so no keys
    if len(sys.argv) > 1:
        await serve(app, port=int(sys.argv[1]), on_ready=lambda url: print("listening on", url, flush=True))
        return
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(app, port=0, on_ready=ready.set_result))
    await ask(await ready)
    running.cancel()
    await asyncio.wait([running])


if __name__ == "__main__":
    asyncio.run(main())
