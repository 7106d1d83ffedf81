"""A gateway with every service, for programs that read its description: ``described_gateway.py [KEYS_FILE]``.

It prints its URL. Its provider answers whatever it is asked, and never fails.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, ClassVar

from backstream import Echo
from backstream.request.parts import MediaPart
from backstream.server import Settings, addresses, create_app
from backstream.server.run import serve
from backstream.services import Embeddings, Images, Speech, Transcript


class Steady(Echo):
    """``Echo`` without the models that fail, and with every service."""

    models: ClassVar = ("echo", "echo-reasoning")
    image_models: ClassVar = ()

    @classmethod
    async def embed(cls, model: str, input: Any, **keywords: Any) -> Embeddings:  # noqa: A002
        one = isinstance(input, str) or all(isinstance(each, int) for each in input)
        return Embeddings(vectors=((0.5, 1.0),) * (1 if one else len(input)))

    @classmethod
    async def images(cls, model: str, prompt: str, media: Any = None, mask: Any = None, **keywords: Any) -> Images:
        return Images(images=(MediaPart(kind="image", media_type="image/png", data="iVBORw0KGgo="),))

    @classmethod
    async def speech(cls, model: str, text: str, voice: Any = None, **keywords: Any) -> Speech:
        return Speech(data=b"sound", media_type="audio/mpeg")

    @classmethod
    async def transcribe(cls, model: str, audio: Any, **keywords: Any) -> Transcript:
        return Transcript(text="Hello")


addresses.MAX_FAILURES = 1_000_000  # schemathesis presents wrong keys by the thousand, from where the right one comes


async def main() -> None:
    keys = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    app = create_app({"Echo": Steady}, Settings(keys_file=keys))
    await serve(app, port=0, on_ready=lambda url: print(url, flush=True))


asyncio.run(main())
