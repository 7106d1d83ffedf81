"""Run by a foreign interpreter that has g4f: its own client against the server named in argv; prints events as JSON."""

import asyncio
import json
import sys

from g4f.Provider.template import BackendApi

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x02\x00\x00\x00\x03\x08\x02\x00\x00\x00"


class Home(BackendApi):
    url = sys.argv[1]
    working = True


async def main():
    asked = {
        "messages": [{"role": "user", "content": "Grüße 😀"}],
        "api_key": "not-a-real-key",
        "temperature": 0.5,
    }
    if sys.argv[3:] == ["media"]:
        asked["media"] = [[PNG, "tiny.png"]]
    async for event in Home.create_async_generator(sys.argv[2], **asked):
        print(json.dumps(event.get_dict()))


asyncio.run(main())
