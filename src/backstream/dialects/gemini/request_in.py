"""A client's ``generateContent`` as a request: parameters, tools, and what has no place of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from msgspec import structs

from backstream.dialects.gemini.contents_in import parse_contents, parse_instruction
from backstream.dialects.gemini.quirks import NAME, Quirks, to_camel
from backstream.dialects.gemini.schemas import from_own_form
from backstream.dialects.gemini.settings import CONFIG, TIERS_READ, TOP
from backstream.dialects.gemini.shapes import as_list, as_members, as_number, as_text, take
from backstream.errors import InvalidRequestError
from backstream.request import ReasoningSettings, Request, ResponseFormat, Tool, ToolChoice

__all__ = ["parse_request"]

_WHOLE: Final = frozenset({"max_tokens", "top_k", "seed", "top_logprobs"})
_FLAGS: Final = frozenset({"logprobs", "store"})
_LISTS: Final = frozenset({"stop", "modalities", "safety_settings"})


def parse_request(body: Mapping[str, Any], path: str, quirks: Quirks) -> Request:
    """See :class:`backstream.dialects.base.Dialect`; the path says the model, and whether to stream."""
    members = to_camel(body)
    inner = take(members, "generateContentRequest")
    if inner is not None:  # the question for the number of tokens
        members = as_members(inner, "generateContentRequest")
    model, method = _split_path(path)
    model = model or as_text(members.get("model"), "model")
    members.pop("model", None)
    known: dict[str, Any] = {}
    config = as_members(take(members, "generationConfig"), "generationConfig")
    for table, there, where in ((CONFIG, config, "generationConfig."), (TOP, members, "")):
        for ours, theirs in table.items():
            if there.get(theirs) is not None:
                known[ours] = _parse_value(ours, there.pop(theirs), where + theirs)
    _parse_format(config, known)
    _parse_thinking(config, known)
    _parse_voice(config, known)
    _parse_tier(members, known)
    turns = parse_instruction(take(members, "systemInstruction"), quirks)
    contents = take(members, "contents")
    if contents is None and turns:
        raise InvalidRequestError("contents is missing", "send at least one")
    turns += parse_contents(contents, quirks)
    tools = _parse_tools(take(members, "tools"))
    tools, choice = _parse_calling(members, tools)
    if config:
        members["generationConfig"] = config
    return Request(
        model=model.removeprefix("models/"),
        turns=tuple(turns),
        tools=tuple(tools),
        tool_choice=choice,
        stream=method == "streamGenerateContent" if method else True,
        dialect=NAME if members else "",
        extra=members,
        **known,
    )


def _split_path(path: str) -> tuple[str, str]:
    """Return the model and the method of a path: ``…/models/{model}:{method}``, or of another kind than models."""
    resource, colon, method = path.partition("?")[0].rpartition(":")
    if not colon:
        return "", ""
    for kind in ("/models/", "/tunedModels/"):
        before, found, name = f"/{resource.removeprefix('/')}".partition(kind)
        if found and "/projects/" not in before:
            return unquote(name if kind == "/models/" else kind[1:] + name), method
    return unquote(resource.removeprefix("/")), method


def _parse_value(name: str, value: object, where: str) -> Any:
    if name in _LISTS:
        items = as_list(value, where)
        if name == "safety_settings":
            return [as_members(item, where) for item in items]
        texts = [as_text(item, where) for item in items]
        return tuple(text.lower() for text in texts) if name == "modalities" else tuple(texts)
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise InvalidRequestError(f"{where} is a {type(value).__name__}", "use true or false")
        return value
    number = as_number(value, where)
    if name not in _WHOLE:
        return number
    if number != int(number):
        raise InvalidRequestError(f"{where} is no whole number")
    return int(number)


def _parse_format(config: dict[str, Any], known: dict[str, Any]) -> None:
    """Read the form of the answer; an ``text/x.enum`` and the like stay in ``extra`` as they are."""
    kind = config.get("responseMimeType")
    schema: object = None
    for name in ("responseJsonSchema", "responseSchema"):
        schema = config.get(name) if schema is None else schema
    if kind == "application/json":
        if schema is None:
            known["response_format"] = ResponseFormat(kind="json_object")
        elif isinstance(schema, Mapping):
            known["response_format"] = ResponseFormat(kind="json_schema", schema=from_own_form(schema))
        else:
            raise InvalidRequestError("generationConfig.responseJsonSchema is no object")
    elif kind == "text/plain" and schema is None:
        known["response_format"] = ResponseFormat(kind="text")
    else:
        return
    for name in ("responseMimeType", "responseJsonSchema", "responseSchema"):
        config.pop(name, None)


def _parse_thinking(config: dict[str, Any], known: dict[str, Any]) -> None:
    thinking = as_members(take(config, "thinkingConfig"), "generationConfig.thinkingConfig")
    if not thinking:
        return
    settings: dict[str, Any] = {}
    budget, level, shown = (take(thinking, name) for name in ("thinkingBudget", "thinkingLevel", "includeThoughts"))
    if budget is not None:
        number = int(as_number(budget, "generationConfig.thinkingConfig.thinkingBudget"))
        settings |= {"enabled": number != 0} if number <= 0 else {"budget_tokens": number}
    if level is not None:
        settings["effort"] = as_text(level, "generationConfig.thinkingConfig.thinkingLevel").lower()
    if shown is not None:
        settings["summary"] = "auto" if shown is True else "none"
    if settings:
        known["reasoning"] = ReasoningSettings(**settings)
    if thinking:
        config["thinkingConfig"] = thinking


def _parse_voice(config: dict[str, Any], known: dict[str, Any]) -> None:
    """Read the voice where nothing else is said of speech; else that stays in ``extra`` as it is."""
    speech: object = config.get("speechConfig")
    for name in ("voiceConfig", "prebuiltVoiceConfig", "voiceName"):
        inner = to_camel(speech) if isinstance(speech, Mapping) else {}
        speech = inner[name] if set(inner) == {name} else None
    if isinstance(speech, str):
        known["audio"] = {"voice": speech}
        del config["speechConfig"]


def _parse_tier(members: dict[str, Any], known: dict[str, Any]) -> None:
    tier = members.get("serviceTier")
    if isinstance(tier, str) and tier.lower() in TIERS_READ:
        known["service_tier"] = TIERS_READ[tier.lower()]
        del members["serviceTier"]


def _parse_tools(tools: object) -> list[Tool]:
    parsed: list[Tool] = []
    for index, tool in enumerate(as_list(tools, "tools")):
        where = f"tools[{index}]"
        members = as_members(tool, where)
        functions = as_list(take(members, "functionDeclarations"), f"{where}.functionDeclarations")
        parsed += [_parse_function(one, f"{where}.functionDeclarations[{at}]") for at, one in enumerate(functions)]
        if members:
            parsed.append(Tool(opaque={NAME: members}))
    return parsed


def _parse_function(function: object, where: str) -> Tool:
    members = as_members(function, where)
    name, description = take(members, "name"), take(members, "description")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{where} has no name")
    schema = take(members, "parametersJsonSchema")
    own = take(members, "parameters")
    schema = own if schema is None else schema
    if not isinstance(schema, Mapping | None):
        raise InvalidRequestError(f"{where} has parameters that are no object", "use a JSON schema")
    return Tool(
        name=name,
        description=None if description is None else as_text(description, f"{where}.description"),
        parameters=None if schema is None else from_own_form(schema),
        opaque={NAME: members} if members else {},
    )


def _parse_calling(members: dict[str, Any], tools: list[Tool]) -> tuple[list[Tool], ToolChoice | None]:
    """Read which tools may be called; what else ``toolConfig`` says stays in ``extra``."""
    config = as_members(take(members, "toolConfig"), "toolConfig")
    calling = as_members(take(config, "functionCallingConfig"), "toolConfig.functionCallingConfig")
    mode = as_text(take(calling, "mode"), "toolConfig.functionCallingConfig.mode").upper()
    allowed = as_list(take(calling, "allowedFunctionNames"), "toolConfig.functionCallingConfig.allowedFunctionNames")
    names = tuple(as_text(name, "toolConfig.functionCallingConfig.allowedFunctionNames") for name in allowed)
    if calling:
        config["functionCallingConfig"] = calling
    if config:
        members["toolConfig"] = config
    if mode == "VALIDATED" and not names:
        return [structs.replace(tool, strict=True) if tool.name else tool for tool in tools], None
    if mode == "ANY":
        return tools, ToolChoice(mode="tool" if len(names) == 1 else "required", names=names)
    if mode in ("AUTO", "NONE", "VALIDATED"):
        return tools, ToolChoice(mode="none" if mode == "NONE" else "auto", names=names)
    if mode not in ("", "MODE_UNSPECIFIED"):
        raise InvalidRequestError("toolConfig.functionCallingConfig.mode is unknown", "use AUTO, ANY, NONE, VALIDATED")
    return tools, ToolChoice(mode="auto", names=names) if names else None
