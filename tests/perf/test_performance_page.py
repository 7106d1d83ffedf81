"""The page of performance is what its generator makes of the committed run: nobody's hand was in it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_performance", ROOT / "docs" / "generate_performance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_of_the_committed_run(generator: ModuleType) -> None:
    summary = json.loads(generator.SUMMARY.read_text())
    assert generator.PAGE.read_text() == generator.render(summary), "run python docs/generate_performance.py"
    for name, draw in generator.DRAWINGS.items():
        if name in summary:
            assert (generator.IMAGES / f"{name}.svg").read_text() == draw(summary), name


def test_every_missed_goal_is_explained(generator: ModuleType) -> None:
    judged = generator.goals(json.loads(generator.SUMMARY.read_text()))
    assert {goal.part for goal in judged if goal.met is False} <= generator.EXPLANATIONS.keys()
    assert any(goal.met is not None for goal in judged)
