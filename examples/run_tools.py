"""Let a model call Python functions, within limits, and go on with what they said.

As it is, a few lines stand for the model, so that it runs anywhere; pass a name, ``run_tools.py openai/gpt-5``, to have
a real one decide.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from backstream import Client, Content, Finish, RawResponse, ToolCallDelta, ToolLimits


def weather(city: str) -> dict[str, object]:
    """Look the weather up.

    Args:
        city: Where.
    """
    return {"city": city, "degrees": 21}


class StandIn:
    """Calls the tool for two towns, one misspelt argument among them, then says what came back."""

    async def create_async_generator(self, model: str, messages: Any, **keywords: Any) -> AsyncIterator[RawResponse]:
        """Answer."""
        results = [message["content"] for message in messages if message["role"] == "tool"]
        if results:
            yield Content(content="\n".join(results))
            yield Finish(finish={"reason": "stop"})
            return
        for part, arguments in enumerate(('{"city": "Oslo"}', '{"town": "Rome"}')):
            yield ToolCallDelta(part=part, id=f"call_{part}", name="weather", arguments=arguments)
        yield Finish(finish={"reason": "tool_calls"})


async def main() -> None:
    name, provider = (sys.argv[1], None) if len(sys.argv) > 1 else ("stand-in", StandIn())
    limits = ToolLimits(max_rounds=4, round_seconds=10)
    async with Client() as client:
        stream = client.stream(
            name, "How warm is it in Oslo and Rome?", provider=provider, tools=[weather], run_tools=limits
        )
        async for chunk in stream:
            print(chunk, end="", flush=True)
    print(f"\n[messages: {' '.join(message['role'] for message in stream.history)}]")


if __name__ == "__main__":
    asyncio.run(main())
