"""Ask any back-end by its name, and say what became of each parameter and what it cost.

Run it as it is, and the embedded backend answers; or name another: ``every_backend.py ollama/llama3.2 "Why?"``.
"""

import asyncio
import sys

from backstream import BackstreamError, Client


async def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "echo/echo"
    question = " ".join(sys.argv[2:]) or "Why is the sky blue?"
    async with Client() as client:
        stream = client.stream(name, question, temperature=0.7, seed=7)
        try:
            async for chunk in stream:
                print(chunk, end="", flush=True)
        except BackstreamError as error:
            print(f"\n[{type(error).__name__}: {error}]")
            return
    reply = stream.reply
    print(f"\n[finished: {reply.finish_reason}, by {reply.model or name}]")
    if reply.usage is not None:
        print(f"[{reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out]")
    for receipt in reply.receipts:
        print(f"[{receipt}]")
    print(f"[cost: {reply.cost.amount:.6f} {reply.cost.currency}]" if reply.cost else "[cost: not known]")


if __name__ == "__main__":
    asyncio.run(main())
