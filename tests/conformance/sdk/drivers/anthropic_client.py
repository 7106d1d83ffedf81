"""The package ``anthropic``; ``driver BASE_URL`` as driver.py says."""

import sys

import anthropic
from driver import ASKED, KEY, name_of, run
from pydantic import BaseModel

client = anthropic.Anthropic(base_url=sys.argv[1], api_key=KEY, max_retries=0, timeout=30)
HELLO = {
    "max_tokens": 4096,
    "system": ASKED["system"],
    "messages": [{"role": "user", "content": ASKED["text"]}],
}
TOOLS = [
    {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
    for tool in ASKED["tools"]
]
IMAGE = {"type": "base64", "media_type": ASKED["image"]["media_type"], "data": ASKED["image"]["base64"]}


class Weather(BaseModel):
    model_config = {"extra": "forbid"}
    city: str
    celsius: int


def create(model, **more):
    return client.messages.create(model=model, **{**HELLO, **more})


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def text(model):
    message = create(model)
    return {"text": text_of(message), "complete": message.stop_reason == "end_turn"}


def stream(model):
    pieces = []
    with client.messages.stream(model=model, **HELLO) as opened:
        pieces.extend(opened.text_stream)
        message = opened.get_final_message()
    assert text_of(message) == "".join(pieces)
    return {"text": text_of(message), "pieces": len(pieces), "complete": message.stop_reason == "end_turn"}


def reasoning(model):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=model, thinking=thinking, **HELLO) as opened:
        thoughts = [event.thinking for event in opened if event.type == "thinking"]
        message = opened.get_final_message()
    blocks = [block.thinking for block in message.content if block.type == "thinking"]
    assert "".join(blocks) == "".join(thoughts)
    return {"reasoning": "".join(thoughts), "text": text_of(message)}


def tools(model):
    with client.messages.stream(model=model, tools=TOOLS, **HELLO) as opened:
        message = opened.get_final_message()
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": ASKED["tool_results"][call.name]} for call in calls
    ]
    turns = [
        *HELLO["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    return {
        "tool_calls": [{"name": call.name, "arguments": call.input} for call in calls],
        "text": text_of(create(model, messages=turns, tools=TOOLS)),
    }


def image(model):
    parts = [{"type": "image", "source": IMAGE}, {"type": "text", "text": ASKED["text"]}]
    return {"text": text_of(create(model, messages=[{"role": "user", "content": parts}]))}


def structured(model):
    parsed = client.messages.parse(model=model, output_format=Weather, **HELLO)
    return {"parsed": parsed.parsed_output.model_dump()}


def counts(message):
    return {"input": message.usage.input_tokens, "output": message.usage.output_tokens}


def usage(model):
    with client.messages.stream(model=model, **HELLO) as opened:
        return {"usage": counts(create(model)), "usage_streamed": counts(opened.get_final_message())}


def refused(model):
    try:
        create(model)
    except anthropic.APIStatusError as error:
        return {
            "error_class": name_of(error),
            "status": error.status_code,
            "retry_after": error.response.headers.get("retry-after"),
            "request_id": error.request_id,
        }
    return {}


def broken(model):
    seen = {"text": "", "complete": False, "error_class": None}
    try:
        for event in create(model, stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                seen["text"] += event.delta.text
            seen["complete"] |= event.type == "message_stop"
    except anthropic.APIError as error:
        seen["error_class"] = name_of(error)
    return seen


def cancel(model):
    with client.messages.stream(model=model, **HELLO) as opened:
        for piece in opened.text_stream:
            return {"text": piece}
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
