"""Google's package ``google-genai``; ``driver BASE_URL`` as driver.py says."""

import asyncio
import base64
import sys

from driver import ASKED, KEY, name_of, run
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=sys.argv[1], timeout=30_000))
SYSTEM = {"system_instruction": ASKED["system"]}
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=tool["name"], description=tool["description"], parameters_json_schema=tool["parameters"]
            )
            for tool in ASKED["tools"]
        ]
    )
]


class Weather(BaseModel):
    city: str
    celsius: int


def create(model, contents=ASKED["text"], **more):
    return client.models.generate_content(model=model, contents=contents, config={**SYSTEM, **more})


def create_stream(model, contents=ASKED["text"], **more):
    return client.models.generate_content_stream(model=model, contents=contents, config={**SYSTEM, **more})


def text(model):
    answer = create(model)
    return {"text": answer.text, "complete": answer.candidates[0].finish_reason == types.FinishReason.STOP}


def read(stream, seen):
    """Note what a stream says, piece by piece; return the parts of the model's turn."""
    seen.update(text="", reasoning="", pieces=0, complete=False, error_class=None)
    parts = []
    for answer in stream:
        if answer.usage_metadata:
            seen["usage"] = counts(answer)
        for candidate in answer.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                parts.append(part)
                seen["reasoning" if part.thought else "text"] += part.text or ""
                seen["pieces"] += bool(part.text and not part.thought)
            seen["complete"] |= candidate.finish_reason is not None
    return parts


def counts(answer):
    return {
        "input": answer.usage_metadata.prompt_token_count,
        "output": answer.usage_metadata.candidates_token_count,
    }


def stream(model):
    seen = {}
    read(create_stream(model), seen)
    return seen


def reasoning(model):
    seen = {}
    read(create_stream(model, thinking_config=types.ThinkingConfig(include_thoughts=True)), seen)
    return seen


def tools(model):
    asking = types.UserContent(ASKED["text"])
    parts = read(create_stream(model, [asking], tools=TOOLS, automatic_function_calling=BY_HAND), {})
    calls = [part.function_call for part in parts if part.function_call]
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": ASKED["tool_results"][call.name]}
            )
        )
        for call in calls
    ]
    turns = [asking, types.ModelContent(parts), types.UserContent(results)]
    second = create(model, turns, tools=TOOLS, automatic_function_calling=BY_HAND)
    return {"tool_calls": [{"name": call.name, "arguments": call.args} for call in calls], "text": second.text}


def image(model):
    picture = base64.b64decode(ASKED["image"]["base64"])
    part = types.Part.from_bytes(data=picture, mime_type=ASKED["image"]["media_type"])
    return {"text": create(model, [ASKED["text"], part]).text}


def structured(model):
    answer = create(model, response_mime_type="application/json", response_schema=Weather)
    return {"parsed": answer.parsed.model_dump()}


def usage(model):
    seen, whole = {}, create(model)
    read(create_stream(model), seen)
    return {"usage": counts(whole), "usage_streamed": seen.get("usage")}


def refused(model):
    try:
        create(model)
    except errors.APIError as error:
        return {
            "error_class": name_of(error),
            "status": error.code,
            "retry_after": error.response.headers.get("retry-after"),
        }
    return {}


def broken(model):
    seen = {}
    try:
        read(create_stream(model), seen)
    except errors.APIError as error:
        seen["error_class"] = name_of(error)
    return seen


async def leave(model):
    config = types.GenerateContentConfig(**SYSTEM)
    stream = await client.aio.models.generate_content_stream(model=model, contents=ASKED["text"], config=config)
    async for answer in stream:
        if answer.text:
            await stream.aclose()
            return {"text": answer.text}
    return {}


def cancel(model):
    return asyncio.run(leave(model))


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
