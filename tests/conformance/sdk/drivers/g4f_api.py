"""The package ``g4f``, its provider class for servers of its own kind; ``driver BASE_URL`` as driver.py says.

What it hands out are the server's events, errors too.
"""

import asyncio
import base64
import contextlib
import json
import sys

from driver import ASKED, KEY, run
from g4f.Provider.template import BackendApi

MESSAGES = [{"role": "system", "content": ASKED["system"]}, {"role": "user", "content": ASKED["text"]}]
TOOLS = [{"type": "function", "function": tool} for tool in ASKED["tools"]]
SCHEMA = {"name": ASKED["schema_name"], "schema": ASKED["schema"]}


class Gateway(BackendApi):
    url = sys.argv[1]
    working = True
    headers = {"Authorization": f"Bearer {KEY}"}


async def ask(model, messages=MESSAGES, until="", **more):
    """Note what a stream says, event by event; leave it at the first event of a type."""
    seen = {"text": "", "reasoning": "", "pieces": 0, "complete": False, "error_class": None, "calls": []}
    async with contextlib.aclosing(Gateway.create_async_generator(model, messages=messages, **more)) as events:
        async for each in events:
            event = each.get_dict()
            match event["type"]:
                case "content":
                    seen["text"] += event["content"]
                    seen["pieces"] += 1
                case "reasoning":
                    seen["reasoning"] += event["token"]
                case "tool_calls":
                    seen["calls"] += event["tool_calls"]
                case "usage":
                    used = event["usage"]
                    seen["usage"] = {"input": used.get("prompt_tokens"), "output": used.get("completion_tokens")}
                case "finish":
                    seen["complete"] = True
                case "error" | "auth":
                    seen["error_class"] = event[event["type"]]
                    seen["status"] = event.get("status")
                    seconds = event.get("retry_after_seconds")
                    seen["retry_after"] = None if seconds is None else f"{seconds:.0f}"
            if event["type"] == until:
                break
    return seen


def stream(model):
    return asyncio.run(ask(model))


def tools(model):
    calls = asyncio.run(ask(model, tools=TOOLS))["calls"]
    turns = [
        {"role": "assistant", "content": "", "tool_calls": calls},
        *(
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "content": ASKED["tool_results"][call["function"]["name"]],
            }
            for call in calls
        ),
    ]
    second = asyncio.run(ask(model, [*MESSAGES, *turns], tools=TOOLS))
    return {
        "tool_calls": [
            {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])} for call in calls
        ],
        "text": second["text"],
    }


def image(model):
    picture = base64.b64decode(ASKED["image"]["base64"])
    return asyncio.run(ask(model, MESSAGES[1:], media=[[picture, "picture.png"]]))


def structured(model):
    answer = asyncio.run(ask(model, response_format={"type": "json_schema", "json_schema": SCHEMA}))
    return {"parsed": json.loads(answer["text"])}


def usage(model):
    used = stream(model).get("usage")  # all its answers are streams
    return {"usage": used, "usage_streamed": used}


def cancel(model):
    return asyncio.run(ask(model, until="content"))


run(
    text=stream,
    stream=stream,
    reasoning=stream,
    tools=tools,
    image=image,
    structured=structured,
    usage=usage,
    cancel=cancel,
    refused=stream,
    broken=stream,
)
