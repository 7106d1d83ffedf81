"""What goes wrong, and how it is told: refusals, cut answers, deadlines, and asking again."""

import asyncio
from typing import Any

from backstream import (
    AuthenticationError,
    BackendApi,
    BackstreamError,
    BetweenContentTimeout,
    CallerError,
    Deadlines,
    ProviderError,
    RateLimitError,
)

MESSAGES = [{"role": "user", "content": "Hello"}]


async def ask(model: str, deadlines: Deadlines | None = None, **parameters: Any) -> None:
    try:
        async for _ in BackendApi.create_async_generator(model, MESSAGES, deadlines=deadlines, **parameters):
            pass
    except CallerError as error:
        print(f"{model}: mine: {error}")
    except AuthenticationError as error:
        print(f"{model}: a key is wrong: {error}")
    except RateLimitError as error:
        print(f"{model}: busy, again in {error.retry_after_seconds} s")
    except BetweenContentTimeout as error:
        print(f"{model}: silent for {error.seconds} s, after {len(error.received)} chunks")
    except ProviderError as error:
        print(f"{model}: {error}; {len(error.received)} chunks came before; try again: {error.retryable}")
    else:
        print(f"{model}: a whole answer")


async def ask_again(model: str, attempts: int = 3) -> None:
    """Ask again while that makes sense and nothing has been shown yet."""
    for attempt in range(1, attempts + 1):
        shown = False
        try:
            async for chunk in BackendApi.create_async_generator(model, MESSAGES):
                shown = shown or bool(str(chunk))
        except BackstreamError as error:
            if shown or not error.retryable or attempt == attempts:
                print(f"{model}: given up after {attempt} attempts: {type(error).__name__}")
                return
            await asyncio.sleep(0.01 * attempt)


async def main() -> None:
    await ask("echo")
    await ask("echo", timeout=-1)
    await ask("echo-fail-auth")
    await ask("echo-fail-rate")
    await ask("echo-fail-middle")
    await ask("echo", Deadlines(between_content=0.2), pace_seconds=2)
    await ask_again("echo-fail-start")


if __name__ == "__main__":
    asyncio.run(main())
