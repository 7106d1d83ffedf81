"""The package ``openai``, chat completions; ``driver BASE_URL`` as driver.py says."""

import json
import sys

import openai
from driver import ASKED, IMAGE_URI, KEY, name_of, run
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=KEY, max_retries=0, timeout=30)
MESSAGES = [{"role": "system", "content": ASKED["system"]}, {"role": "user", "content": ASKED["text"]}]
TOOLS = [{"type": "function", "function": tool} for tool in ASKED["tools"]]


class Weather(BaseModel):
    model_config = {"extra": "forbid"}
    city: str
    celsius: int


def create(model, messages=MESSAGES, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def text(model):
    choice = create(model).choices[0]
    return {"text": choice.message.content, "complete": choice.finish_reason == "stop"}


def read(stream, seen):
    """Note what a stream says, chunk by chunk, so that it is there should the stream break."""
    seen.update(text="", reasoning="", pieces=0, complete=False, error_class=None)
    calls = {}
    for chunk in stream:
        if chunk.usage:
            seen["usage"] = {"input": chunk.usage.prompt_tokens, "output": chunk.usage.completion_tokens}
        for choice in chunk.choices:
            seen["text"] += choice.delta.content or ""
            seen["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            seen["pieces"] += bool(choice.delta.content)
            seen["complete"] |= choice.finish_reason is not None
            for delta in choice.delta.tool_calls or ():
                call = calls.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "arguments": ""})
                call["arguments"] += delta.function.arguments or ""
    return [calls[index] for index in sorted(calls)]


def stream(model):
    pieces = []
    with client.chat.completions.stream(model=model, messages=MESSAGES) as opened:
        for event in opened:
            if event.type == "content.delta":
                pieces.append(event.delta)
        choice = opened.get_final_completion().choices[0]
    assert choice.message.content == "".join(pieces)
    return {"text": choice.message.content, "pieces": len(pieces), "complete": choice.finish_reason == "stop"}


def reasoning(model):
    seen = {}
    read(create(model, stream=True, reasoning_effort="low"), seen)
    return seen


def tools(model):
    calls = read(create(model, tools=TOOLS, stream=True), {})
    turns = [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call["id"], "type": "function", "function": {k: call[k] for k in ("name", "arguments")}}
                for call in calls
            ],
        },
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": ASKED["tool_results"][call["name"]]}
            for call in calls
        ),
    ]
    second = create(model, [*MESSAGES, *turns], tools=TOOLS)
    return {
        "tool_calls": [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls],
        "text": second.choices[0].message.content,
    }


def image(model):
    parts = [{"type": "text", "text": ASKED["text"]}, {"type": "image_url", "image_url": {"url": IMAGE_URI}}]
    return {"text": create(model, [{"role": "user", "content": parts}]).choices[0].message.content}


def structured(model):
    parsed = client.chat.completions.parse(model=model, messages=MESSAGES, response_format=Weather)
    return {"parsed": parsed.choices[0].message.parsed.model_dump()}


def usage(model):
    seen, whole = {}, create(model).usage
    read(create(model, stream=True, stream_options={"include_usage": True}), seen)
    return {
        "usage": {"input": whole.prompt_tokens, "output": whole.completion_tokens},
        "usage_streamed": seen.get("usage"),
    }


def refused(model):
    try:
        create(model)
    except openai.APIStatusError as error:
        return {
            "error_class": name_of(error),
            "status": error.status_code,
            "retry_after": error.response.headers.get("retry-after"),
            "request_id": error.request_id,
        }
    return {}


def broken(model):
    seen = {}
    try:
        read(create(model, stream=True), seen)
    except openai.APIError as error:
        seen["error_class"] = name_of(error)
    return seen


def cancel(model):
    with create(model, stream=True) as opened:
        for chunk in opened:
            if chunk.choices and chunk.choices[0].delta.content:
                return {"text": chunk.choices[0].delta.content}
    return {}


run(
    text=text,
    stream=stream,
    reasoning=reasoning,
    tools=tools,
    image=image,
    structured=structured,
    usage=usage,
    cancel=cancel,
    refused=refused,
    broken=broken,
)
