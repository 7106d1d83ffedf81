"""What the configuration says of clocks, and of surviving trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import ConfigurationError
from backstream.options import Deadlines
from backstream.registry.config import Config, load_config
from backstream.registry.recovery_config import ClocksConfig, OfRoutes, RecoveryConfig
from backstream.resilience.settings import Recovery

WHOLE = """
[defaults.recovery]
retries = 0
switch_after = 0
hedge_after = 2
mid_stream = "continue"

[providers.work]
url = "http://127.0.0.1:1"
max_concurrent = 4
requests_per_minute = 60
breaker_failures = 0
breaker_seconds = 3
deadlines = { first_content = 20, idle = 0 }

[server.deadlines]
total = 600

[routes]
smart = { to = ["work/a", "work/b"], mid_stream = "whole", switch_after = 5, deadlines = { total = 60 } }
plain = ["work/a"]
"""


def load(folder: Path, text: str) -> Config:
    path = folder / "backstream.toml"
    path.write_text(text)
    return load_config(path, environ={})


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    assert config.defaults.recovery.changes() == {
        "retries": 0,
        "switch_after": None,
        "hedge_after": 2,
        "mid_stream": "continue",
    }
    work = config.providers["work"]
    assert work.changes() == {
        "max_concurrent": 4,
        "requests_per_minute": 60,
        "breaker_failures": None,
        "breaker_seconds": 3,
    }
    assert work.deadlines.over(Deadlines(total=9)) == Deadlines(first_content=20, idle=None, total=9)
    assert config.server.deadlines == ClocksConfig(total=600)
    assert config.routes["smart"].changes() == {"mid_stream": "whole", "switch_after": 5}
    assert config.routes["smart"].deadlines == ClocksConfig(total=60)
    assert (config.routes["plain"].changes(), config.routes["plain"].deadlines) == ({}, ClocksConfig())


def test_what_is_not_said_changes_nothing() -> None:
    assert ClocksConfig().over(below := Deadlines(total=1)) is below
    assert (OfRoutes().changes(), RecoveryConfig().changes()) == ({}, {})


def test_its_names_are_those_of_what_it_sets() -> None:
    assert set(RecoveryConfig.__struct_fields__) == set(Recovery.__struct_fields__)
    assert set(ClocksConfig.__struct_fields__) == set(Deadlines.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[defaults.recovery]\nretries = 11\n", ":2: defaults.recovery.retries is wrong"),
        ("[defaults.recovery]\nretry = 1\n", ":2: defaults.recovery.retry is unknown"),
        ("[server.deadlines]\ntotal = -1\n", ":2: server.deadlines.total is wrong"),
        ("[server.deadlines]\nall = 1\n", ":2: server.deadlines.all is unknown"),
        ('[routes]\na = { to = ["x/y"], mid_stream = "often" }\n', ":2: routes.a.mid_stream has an unknown value"),
        ('[routes]\na = { to = ["x/y"], deadlines = { sum = 1 } }\n', ":2: routes.a.deadlines.sum is unknown"),
        ("[providers.openai]\nmax_concurrent = -1\n", ":2: providers.openai.max_concurrent is wrong"),
        ("[providers.openai.deadlines]\nsum = 1\n", ":2: providers.openai.deadlines.sum is unknown"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert place in str(caught.value)
