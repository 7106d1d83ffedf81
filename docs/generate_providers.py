"""Writes ``docs/providers.md`` from the table of back-ends: ``python docs/generate_providers.py``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backstream.providers.table import ROWS, Row

PAGE = Path(__file__).with_name("providers.md")

INTRODUCTION = """\
# Back-ends

<!-- Written by docs/generate_providers.py from src/backstream/providers/. Change the rows, then run it. -->

The back-ends backstream knows by name. `openai/gpt-5` is the model `gpt-5` of the row `openai`. A server that speaks
one of these dialects and has no row needs none: its URL in the configuration is enough.

What is not listed under [Differences](#differences) follows its dialect's own rule. Addresses can be changed in the
configuration, for another region for instance.
"""

HOSTED_HEAD = """
## Hosted

The key is looked up in the environment variables named, in that order.

| name | back-end | dialect | address | key | besides chat |
|---|---|---|---|---|---|
"""

LOCAL_HEAD = """
## On your own machine

None needs a key. The ports are those it usually listens on.

| name | back-end | dialect | address | ports | besides chat |
|---|---|---|---|---|---|
"""

DIFFERENCES_HEAD = """
## Differences

| name | difference |
|---|---|
"""

NOTES = """
## Not in the table

- GitHub Models: [retired on 30 July 2026](https://github.com/orgs/community/discussions/203602).
- Perplexity's chat completions (Sonar): ended on 27 September 2026; the row `perplexity` is the Agent API, which
  [took its place](https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview).
"""


def render() -> str:
    """Return the page's text."""
    rows = list(ROWS.values())
    hosted = (
        _line(each, ", ".join(f"`{name}`" for name in each.key_variables)) for each in rows if not each.local_ports
    )
    local = (_line(each, ", ".join(map(str, each.local_ports))) for each in rows if each.local_ports)
    different = (f"| `{each.name}` | {text} |\n" for each in rows if (text := "; ".join(_differences(each))))
    return "".join(
        [INTRODUCTION, HOSTED_HEAD, *hosted, LOCAL_HEAD, *local, DIFFERENCES_HEAD, *different, NOTES],
    )


def _line(row: Row, key_or_ports: str) -> str:
    page = row.documentation.removeprefix("docs/")
    address = f"`{row.url}`" if row.url else f"`${row.url_variable}` + `{row.url_path.removeprefix('/')}`"
    if row.url and row.url_variable:
        address += f", or `${row.url_variable}`"
    routes = ", ".join(_routes(row)) or "–"
    return f"| `{row.name}` | [{row.label}]({page}) | `{row.dialect}` | {address} | {key_or_ports} | {routes} |\n"


def _routes(row: Row) -> Iterable[str]:
    for name in ("embeddings", "images", "speech", "transcriptions"):
        if getattr(row, f"{name}_path") is not None:
            yield name


def _differences(row: Row) -> Iterable[str]:
    for name, value in row.quirks.items():
        shown = ", ".join(value) if isinstance(value, list) else str(value).lower() if value in (True, False) else value
        yield f"`{name}`: {shown}"
    if row.models_path is None:
        known = ", ".join(f"`{name}`" for name in row.models)
        yield "has no list of its models" + (f"; known: {known}" if known else "")
    if row.default_model is not None:
        yield f"where no model is named: `{row.default_model}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
