"""The table of faults: every row is there, and has tests that are there and bear its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NUMBERS = range(1, 45)


def table() -> dict[int, list[str]]:
    """The tests that the table names, by row."""
    found: dict[int, list[str]] = {}
    for line in (HERE / "README.md").read_text().splitlines():
        if (row := re.match(r"\| (\d+) \|", line)) is not None:
            assert int(row[1]) not in found, f"row {row[1]} is there twice"
            found[int(row[1])] = re.findall(r"`([\w/.]+\.py::\w+)`", line.rpartition(" | ")[2])
    return found


TABLE = table()


def names_in(path: Path) -> set[str]:
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, found)}


def numbers_in(path: Path) -> set[int]:
    """The rows for which a file has tests: ``Fault(7, …)``, ``each(7, …)``, ``id="row-07…"``."""
    found = re.findall(r"\bFault\(\s*(?:#[^\n]*\n\s*)?(\d+)|\beach\((\d+)|row-(\d\d)-", path.read_text())
    return {int(next(filter(None, each))) for each in found}


def test_every_row_is_there() -> None:
    assert list(TABLE) == list(NUMBERS)


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: f"row-{row:02}")
def test_the_tests_of_a_row_exist(row: int) -> None:
    assert TABLE[row]
    for test in TABLE[row]:
        file, _, name = test.partition("::")
        assert name in names_in(HERE.parent / file), test
    named = {test.partition("::")[0] for test in TABLE[row] if test.startswith("rows/")}
    assert any(row in numbers_in(HERE.parent / file) for file in named), "no test bears its number"


def test_no_test_here_is_of_no_row() -> None:
    named = {test for tests in TABLE.values() for test in tests}
    for path in HERE.glob("test_rows_*.py"):
        if path.name == Path(__file__).name:
            continue
        for name in names_in(path):
            assert not name.startswith("test_") or f"rows/{path.name}::{name}" in named, name
        assert numbers_in(path) <= set(NUMBERS)
