"""Every promise of the README names a test, is on the page of promises, and every test that either names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "promises.md"


def rows(text: str) -> dict[str, list[str]]:
    """Promises, with the tests that hold them."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ") and "`" in line]
    return {" | ".join(cells[:-1]).replace("](docs/", "]("): re.findall(r"`([^`]+)`", cells[-1]) for cells in lines}


PROMISES = rows(PAGE.read_text())
README = (ROOT / "README.md").read_text().partition("## What it promises")[2].partition("\n## ")[0]
PRINTED = rows(README)


def test_every_promise_of_the_readme_is_on_the_page() -> None:
    assert PRINTED
    assert list(PRINTED) == list(rows(PAGE.read_text().partition("## Further")[0]))
    assert "](docs/promises.md)" in README


@pytest.mark.parametrize("promise", PRINTED, ids=lambda promise: promise[:50])
def test_every_promise_of_the_readme_names_a_test_that_holds_it(promise: str) -> None:
    assert PRINTED[promise]
    # the page's tests are held to exist below
    assert {test.removeprefix("tests/") for test in PRINTED[promise]} <= set(PROMISES[promise])


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:50])
def test_the_tests_of_a_promise_exist(promise: str) -> None:
    assert PROMISES[promise]
    for test in PROMISES[promise]:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text())
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in found, test
