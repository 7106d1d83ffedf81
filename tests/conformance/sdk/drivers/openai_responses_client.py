"""The package ``openai``, responses; ``driver BASE_URL`` as driver.py says."""

import json
import sys

import openai
from driver import ASKED, IMAGE_URI, KEY, name_of, run
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=KEY, max_retries=0, timeout=30)
HELLO = {"input": ASKED["text"], "instructions": ASKED["system"]}
TOOLS = [{"type": "function", **tool} for tool in ASKED["tools"]]


class Weather(BaseModel):
    model_config = {"extra": "forbid"}
    city: str
    celsius: int


def create(model, **more):
    return client.responses.create(model=model, **{**HELLO, **more})


def text(model):
    response = create(model)
    return {"text": response.output_text, "complete": response.status == "completed"}


def stream(model):
    pieces = []
    with client.responses.stream(model=model, **HELLO) as opened:
        for event in opened:
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        response = opened.get_final_response()
    assert response.output_text == "".join(pieces)
    return {"text": response.output_text, "pieces": len(pieces), "complete": response.status == "completed"}


def reasoning(model):
    seen = {"text": "", "reasoning": ""}
    with client.responses.stream(model=model, reasoning={"effort": "low", "summary": "auto"}, **HELLO) as opened:
        for event in opened:
            if event.type in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
                seen["reasoning"] += event.delta
            if event.type == "response.output_text.delta":
                seen["text"] += event.delta
        items = [item for item in opened.get_final_response().output if item.type == "reasoning"]
    assert seen["reasoning"] == "".join(part.text for item in items for part in (item.content or item.summary))
    return seen


def tools(model):
    with client.responses.stream(model=model, tools=TOOLS, **HELLO) as opened:
        response = opened.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": ASKED["tool_results"][call.name]}
        for call in calls
    ]
    turns = [
        {"role": "user", "content": ASKED["text"]},
        *(item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output),
        *results,
    ]
    return {
        "tool_calls": [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls],
        "text": create(model, input=turns, tools=TOOLS).output_text,
    }


def image(model):
    parts = [
        {"type": "input_text", "text": ASKED["text"]},
        {"type": "input_image", "image_url": IMAGE_URI, "detail": "auto"},
    ]
    return {"text": create(model, input=[{"role": "user", "content": parts}]).output_text}


def structured(model):
    return {"parsed": client.responses.parse(model=model, text_format=Weather, **HELLO).output_parsed.model_dump()}


def counts(response):
    return {"input": response.usage.input_tokens, "output": response.usage.output_tokens}


def usage(model):
    with client.responses.stream(model=model, **HELLO) as opened:
        return {"usage": counts(create(model)), "usage_streamed": counts(opened.get_final_response())}


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
    """The package raises nothing when a response fails: it hands out an event that says so."""
    seen = {"text": "", "complete": False, "error_class": None}
    try:
        for event in create(model, stream=True):
            if event.type == "response.output_text.delta":
                seen["text"] += event.delta
            seen["complete"] |= event.type == "response.completed"
            if event.type in ("error", "response.failed", "response.incomplete"):
                seen["error_class"] = name_of(event)
    except openai.APIError as error:
        seen["error_class"] = name_of(error)
    return seen


def cancel(model):
    with create(model, stream=True) as opened:
        for event in opened:
            if event.type == "response.output_text.delta":
                return {"text": event.delta}
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
