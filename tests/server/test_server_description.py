"""The description of the routes: whole, true to the table, and for those with a key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream.server.description import SUMMARIES, describe
from backstream.server.description_shapes import ANSWERS, FORMS, REQUESTS
from backstream.server.keys import add_key
from backstream.server.routes import ROUTES
from support_server import running

NAMES = {route.name.replace("gemini-v1-", "gemini-") for route in ROUTES}


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for each in value.values() for found in references(each)]
    return [found for each in value for found in references(each)] if isinstance(value, list) else []


def test_every_route_is_described_and_nothing_else_is() -> None:
    assert set(SUMMARIES) == set(ANSWERS) == NAMES
    posts = {route.name.replace("gemini-v1-", "gemini-") for route in ROUTES if route.method == "POST"}
    assert set(REQUESTS) | set(FORMS) == posts - {"response-cancel"}


@pytest.mark.parametrize("keyed", [True, False])
def test_the_description_holds_together(keyed: bool) -> None:
    described = json.loads(json.dumps(describe(ROUTES, keyed=keyed)))
    operations = {
        (path, method): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) == len(ROUTES)
    assert len({operation["operationId"] for operation in operations.values()}) == len(ROUTES)
    for reference in references(described):
        found = described
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found
    for (path, _), operation in operations.items():
        named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert named == {part.partition("}")[0] for part in path.split("{")[1:]}
        assert {"200", "400", "404", "405", "429", "500", "503"} <= set(operation["responses"])
        assert operation["responses"]["405"]["headers"]["Allow"]
        assert operation["responses"]["429"]["headers"]["Retry-After"]
        open_to_all = path in ("/healthz", "/readyz")
        assert bool(operation["security"]) == (keyed and not open_to_all)
        if keyed and not open_to_all:
            assert "401" in operation["responses"]


async def test_it_is_told_to_whom_a_key_lets_in(tmp_path: Any) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "laptop")
    async with running(keys_file=keys) as server:
        assert (await server.ask("GET", "/openapi.json")).status == 401
        told = await server.ask("GET", "/openapi.json", headers={"x-api-key": key})
        assert told.json()["paths"]["/v1/models"]["get"]["security"]
        assert told.header("content-type") == "application/json"
        raw = await server.ask("HEAD", "/openapi.json", headers={"x-api-key": key})
        assert (raw.status, raw.body) == (200, b"")
    async with running() as server:
        told = await server.ask("GET", "/openapi.json")
        assert told.json()["paths"]["/v1/models"]["get"]["security"] == []
        assert told.json()["openapi"] == "3.1.0"
