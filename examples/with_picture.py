"""Send a picture along, and watch how far its upload is.

The embedded backend answers with what arrived: compare the SHA-256 it names with that of your file.
"""

import asyncio
import hashlib
import sys
from pathlib import Path

from backstream import BackendApi, fold

PICTURE = Path(__file__).parent / "lighthouse.png"


def show_progress(sent_bytes: int, total_bytes: int | None) -> None:
    if total_bytes:
        print(f"\rsent {sent_bytes * 100 // total_bytes} %", end="", file=sys.stderr, flush=True)


async def main() -> None:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    answer = BackendApi.create_async_generator(
        "echo",
        [{"role": "user", "content": "What is in this picture?"}],
        media=[(picture, picture.name)],
        on_progress=show_progress,
    )
    reply = fold([chunk async for chunk in answer])
    print(file=sys.stderr)
    print(reply.text)
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    print("It arrived whole." if digest in reply.text else "It did not arrive whole!")


if __name__ == "__main__":
    asyncio.run(main())
