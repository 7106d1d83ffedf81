"""What holds for every test: nobody's keys are used, and no server that the machine's owner has set."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from backstream.providers.table import ROWS


def pytest_configure() -> None:
    """Take keys and addresses out of the environment, so that nothing a test starts can reach a vendor with them."""
    named = {name for row in ROWS.values() for name in (*row.key_variables, row.url_variable) if name}
    for name in [*named, *(name for name in os.environ if name.startswith("BACKSTREAM_"))]:
        os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep what was imported and collected out of later garbage collections: tests that look for leaks ask for many."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Do so again after each file: what its tests left for good, such as reports and caches, is looked through once."""
    yield
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()
