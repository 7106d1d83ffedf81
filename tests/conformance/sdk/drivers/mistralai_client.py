"""The package ``mistralai``; ``driver BASE_URL`` as driver.py says."""

import json
import sys

from driver import ASKED, IMAGE_URI, KEY, name_of, run
from mistralai.client import Mistral, errors
from mistralai.client.errors.mistralerror import MistralError
from pydantic import BaseModel

client = Mistral(api_key=KEY, server_url=sys.argv[1], timeout_ms=30_000)
MESSAGES = [{"role": "system", "content": ASKED["system"]}, {"role": "user", "content": ASKED["text"]}]
TOOLS = [{"type": "function", "function": tool} for tool in ASKED["tools"]]


class Weather(BaseModel):
    city: str
    celsius: int


def create(model, messages=MESSAGES, **more):
    return client.chat.complete(model=model, messages=messages, **more)


def text(model):
    choice = create(model).choices[0]
    return {"text": choice.message.content, "complete": choice.finish_reason == "stop"}


def add(content, seen):
    """Note text, or parts of which some think."""
    for part in [content] if isinstance(content, str) else content or ():
        if isinstance(part, str):
            seen["text"] += part
            seen["pieces"] += bool(part)
        elif part.type == "text":
            seen["text"] += part.text
            seen["pieces"] += bool(part.text)
        elif part.type == "thinking":
            seen["reasoning"] += "".join(each.text for each in part.thinking)


def read(stream, seen):
    """Note what a stream says, chunk by chunk; return the calls."""
    seen.update(text="", reasoning="", pieces=0, complete=False, error_class=None)
    calls = {}
    with stream:
        for event in stream:
            if event.data.usage:
                seen["usage"] = counts(event.data)
            for choice in event.data.choices:
                add(choice.delta.content, seen)
                seen["complete"] |= choice.finish_reason is not None
                for call in choice.delta.tool_calls or ():
                    calls.setdefault(call.index, []).append(call)
    return [
        {
            "id": pieces[0].id,
            "name": pieces[0].function.name,
            "arguments": "".join(each.function.arguments for each in pieces),
        }
        for _, pieces in sorted(calls.items())
    ]


def counts(answer):
    return {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}


def create_stream(model, **more):
    return client.chat.stream(model=model, messages=MESSAGES, **more)


def stream(model):
    seen = {}
    read(create_stream(model), seen)
    return seen


def tools(model):
    calls = read(create_stream(model, tools=TOOLS), {})
    turns = [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call["id"], "type": "function", "function": {k: call[k] for k in ("name", "arguments")}}
                for call in calls
            ],
        },
        *(
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "name": call["name"],
                "content": ASKED["tool_results"][call["name"]],
            }
            for call in calls
        ),
    ]
    second = create(model, [*MESSAGES, *turns], tools=TOOLS)
    return {
        "tool_calls": [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls],
        "text": second.choices[0].message.content,
    }


def image(model):
    parts = [{"type": "text", "text": ASKED["text"]}, {"type": "image_url", "image_url": IMAGE_URI}]
    return {"text": create(model, [{"role": "user", "content": parts}]).choices[0].message.content}


def structured(model):
    parsed = client.chat.parse(model=model, messages=MESSAGES, response_format=Weather)
    return {"parsed": parsed.choices[0].message.parsed.model_dump()}


def usage(model):
    return {"usage": counts(create(model)), "usage_streamed": stream(model).get("usage")}


def refused(model):
    try:
        create(model)
    except errors.SDKError as error:
        return {
            "error_class": name_of(error),
            "status": error.status_code,
            "retry_after": error.headers.get("retry-after"),
        }
    return {}


def broken(model):
    seen = {}
    try:
        read(create_stream(model), seen)
    except MistralError as error:
        seen["error_class"] = name_of(error)
    return seen


def cancel(model):
    with create_stream(model) as opened:
        for event in opened:
            for choice in event.data.choices:
                if choice.delta.content:
                    return {"text": choice.delta.content}
    return {}


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
    broken=broken,
)
