"""The package ``g4f``, its client, with its provider class for servers of OpenAI's kind; as driver.py says."""

import asyncio
import contextlib
import json
import sys

from driver import ASKED, IMAGE_URI, KEY, name_of, run
from g4f.client import AsyncClient
from g4f.errors import G4FError
from g4f.Provider.template import OpenaiTemplate

MESSAGES = [{"role": "system", "content": ASKED["system"]}, {"role": "user", "content": ASKED["text"]}]
TOOLS = [{"type": "function", "function": tool} for tool in ASKED["tools"]]
SCHEMA = {"name": ASKED["schema_name"], "schema": ASKED["schema"]}


class Gateway(OpenaiTemplate):
    url = sys.argv[1]
    base_url = api_base = f"{sys.argv[1]}/v1"  # as the newer and the older versions call it
    working = True


def create(model, messages=MESSAGES, **more):
    provider = type("Gateway", (Gateway,), {"models": [model], "default_model": model})
    client = AsyncClient(provider=provider, api_key=KEY)
    return client.chat.completions.create(messages=messages, model=model, **more)


def counts(used):
    return None if used is None else {"input": used.prompt_tokens, "output": used.completion_tokens}


async def read(model, messages=MESSAGES, until_text=False, **more):
    """Note what a stream says, chunk by chunk, and what broke it."""
    seen = {"text": "", "reasoning": "", "pieces": 0, "complete": False, "error_class": None, "calls": []}
    try:
        async with contextlib.aclosing(create(model, messages, stream=True, **more)) as chunks:
            async for chunk in chunks:
                seen["usage"] = counts(getattr(chunk, "usage", None)) or seen.get("usage")
                for choice in chunk.choices:
                    seen["text"] += choice.delta.content or ""
                    seen["reasoning"] += getattr(choice.delta, "reasoning", None) or ""
                    seen["pieces"] += bool(choice.delta.content)
                    seen["calls"] += getattr(choice.delta, "tool_calls", None) or ()
                    seen["complete"] |= choice.finish_reason is not None
                if until_text and seen["text"]:
                    break
    except G4FError as error:
        seen["error_class"] = name_of(error)
    return seen


async def answer(model, messages=MESSAGES, **more):
    return await create(model, messages, **more)


def text(model):
    choice = asyncio.run(answer(model)).choices[0]
    return {"text": choice.message.content, "complete": choice.finish_reason == "stop"}


def stream(model):
    return asyncio.run(read(model))


def tools(model):
    first = asyncio.run(answer(model, tools=TOOLS))
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in first.choices[0].message.tool_calls
    ]
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
    second = asyncio.run(answer(model, [*MESSAGES, *turns], tools=TOOLS))
    return {
        "tool_calls": [
            {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])} for call in calls
        ],
        "text": second.choices[0].message.content,
    }


def image(model):
    parts = [{"type": "text", "text": ASKED["text"]}, {"type": "image_url", "image_url": {"url": IMAGE_URI}}]
    return {"text": asyncio.run(answer(model, [{"role": "user", "content": parts}])).choices[0].message.content}


def structured(model):
    made = asyncio.run(answer(model, extra_body={"response_format": {"type": "json_schema", "json_schema": SCHEMA}}))
    return {"parsed": json.loads(made.choices[0].message.content)}


def usage(model):
    return {"usage": counts(asyncio.run(answer(model)).usage), "usage_streamed": stream(model).get("usage")}


def refused(model):
    try:
        asyncio.run(answer(model))
    except G4FError as error:
        return {"error_class": name_of(error), "said": str(error)}
    return {}


def cancel(model):
    return asyncio.run(read(model, until_text=True))


run(
    text=text,
    stream=stream,
    reasoning=stream,
    tools=tools,
    image=image,
    structured=structured,
    usage=usage,
    cancel=cancel,
    refused=refused,
    broken=stream,
)
