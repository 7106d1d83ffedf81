"""The package ``ollama``; ``driver BASE_URL`` as driver.py says."""

import base64
import json
import sys

import ollama
from driver import ASKED, KEY, name_of, run

client = ollama.Client(host=sys.argv[1], headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
MESSAGES = [{"role": "system", "content": ASKED["system"]}, {"role": "user", "content": ASKED["text"]}]
TOOLS = [{"type": "function", "function": tool} for tool in ASKED["tools"]]


def create(model, messages=MESSAGES, **more):
    return client.chat(model=model, messages=messages, **more)


def text(model):
    answer = create(model)
    return {"text": answer.message.content, "complete": answer.done is True and answer.done_reason == "stop"}


def read(stream, seen):
    """Note what a stream says, piece by piece; return the calls."""
    seen.update(text="", reasoning="", pieces=0, complete=False, error_class=None)
    calls = []
    for answer in stream:
        seen["text"] += answer.message.content or ""
        seen["reasoning"] += answer.message.thinking or ""
        seen["pieces"] += bool(answer.message.content)
        seen["complete"] |= answer.done is True
        calls += answer.message.tool_calls or ()
        if answer.done:
            seen["usage"] = counts(answer)
    return calls


def counts(answer):
    return {"input": answer.prompt_eval_count, "output": answer.eval_count}


def stream(model, **more):
    seen = {}
    read(create(model, stream=True, **more), seen)
    return seen


def reasoning(model):
    return stream(model, think=True)


def tools(model):
    calls = read(create(model, tools=TOOLS, stream=True), {})
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [call.model_dump() for call in calls]},
        *(
            {
                "role": "tool",
                "tool_name": call.function.name,
                "content": ASKED["tool_results"][call.function.name],
            }
            for call in calls
        ),
    ]
    second = create(model, [*MESSAGES, *turns], tools=TOOLS)
    return {
        "tool_calls": [{"name": call.function.name, "arguments": dict(call.function.arguments)} for call in calls],
        "text": second.message.content,
    }


def image(model):
    picture = base64.b64decode(ASKED["image"]["base64"])
    return {"text": create(model, [{"role": "user", "content": ASKED["text"], "images": [picture]}]).message.content}


def structured(model):
    return {"parsed": json.loads(create(model, format=ASKED["schema"]).message.content)}


def usage(model):
    return {"usage": counts(create(model)), "usage_streamed": stream(model).get("usage")}


def refused(model):
    try:
        create(model)
    except ollama.ResponseError as error:
        return {"error_class": name_of(error), "status": error.status_code, "retry_after": None}
    return {}


def broken(model):
    seen = {}
    try:
        read(create(model, stream=True), seen)
    except ollama.ResponseError as error:
        seen["error_class"] = name_of(error)
    return seen


def cancel(model):
    opened = create(model, stream=True)
    for answer in opened:
        if answer.message.content:
            opened.close()
            return {"text": answer.message.content}
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
