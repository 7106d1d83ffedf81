"""Ask a question and print the answer as it streams in.

Run it as it is, and the embedded backend answers; set BACKSTREAM_URL to ask another server.
"""

import asyncio
import sys

from backstream import BackendApi, Content, Finish, Usage


async def main() -> None:
    question = " ".join(sys.argv[1:]) or "Why is the sky blue?"
    async for chunk in BackendApi.create_async_generator("", [{"role": "user", "content": question}]):
        match chunk:
            case Content():
                print(chunk.text, end="", flush=True)
            case Finish():
                print(f"\n[finished: {chunk.reason}]")
            case Usage():
                print(f"[{chunk.input_tokens} tokens in, {chunk.output_tokens} out]")


if __name__ == "__main__":
    asyncio.run(main())
