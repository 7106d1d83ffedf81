"""Official SDKs, unmodified, drive ``backstream serve`` by its base URL: every client × provider × scenario."""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.sdk.clients import CLIENTS
from conformance.sdk.harness import PROVIDERS, Result, run_client

DOCS = Path(__file__).parent.parent.parent / "docs"
Results = Mapping[str, Future[list[Result]]]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Every client that is asked for, on its way through the matrix; two at a time."""
    asked = [item for item in request.session.items if item.path == Path(__file__)]
    names = {item.callspec.params["client"] for item in asked if hasattr(item, "callspec")}
    names |= set(CLIENTS) if any(not hasattr(item, "callspec") for item in asked) else set()
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(run_client, CLIENTS[name], tmp_path_factory.mktemp(name))
            for name in CLIENTS
            if name in names
        }


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_client_in_front_of(client: str, provider: str, running: Results) -> None:
    results = [result for result in running[client].result() if result.provider == provider]
    assert results
    wrong = [f"{result.scenario}: {result.note}" for result in results if result.ok is False]
    assert not wrong, "\n".join(wrong)
    assert all(result.note for result in results if result.ok is None), "each blank has its reason"


def test_the_page_of_clients_is_up_to_date(running: Results) -> None:
    render = runpy.run_path(str(DOCS / "generate_clients.py"))["render"]
    page = render({name: running[name].result() for name in CLIENTS})
    assert page == (DOCS / "clients.md").read_text("utf-8"), "run: python docs/generate_clients.py"
