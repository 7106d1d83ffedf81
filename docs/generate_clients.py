"""Write ``docs/clients.md``: which official SDKs drive the gateway, in front of which back-ends, and what works.

Run ``python docs/generate_clients.py``: it runs every client of ``tests/conformance/sdk`` through its matrix, in
environments of their own that the first run sets up. ``make conformance`` holds the page up to date.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "clients.md"
sys.path.insert(0, str(ROOT / "tests"))  # where the matrix is

from conformance.sdk.clients import CLIENTS, Client  # noqa: E402
from conformance.sdk.environments import version_of  # noqa: E402
from conformance.sdk.harness import PROVIDERS, Result, run_client  # noqa: E402
from conformance.sdk.scenarios import SCENARIOS  # noqa: E402

Results = Mapping[str, Sequence[Result]]

HEAD = """\
# Clients

<!-- Written by docs/generate_clients.py from a run of tests/conformance/sdk. Change the drivers, then run it. -->

Official SDKs, unmodified, each drive `backstream serve` by its base URL and a client key, in front of Echo and of a
scripted back-end of every dialect that sends its vendor's bytes.

**yes**: the SDK shows what the back-end said, the back-end received what the SDK sent. **–**: the pair cannot say it;
the footnote tells why. Nothing: Echo does no such thing.
"""
ROWS = """\
| what | how it is tried |
|---|---|
| text, stream | system and user text arrive; the whole answer is shown, as complete; streamed, in several pieces |
| reasoning | streamed, apart from the text |
| tools | two parallel calls, streamed; then a second turn with both results |
| reasoning, then tools | the same after reasoning; signed reasoning comes back where the footnote says so |
| image in | a picture arrives byte for byte |
| structured | a JSON schema arrives in the back-end's form, and the answer is parsed by it |
| usage | the exact numbers, of a whole answer and of a streamed one |
| error 429 … 404 | the back-end refuses; the SDK raises its own class, with status, time to wait and request id |
| error in stream, cut | the back-end fails, or the connection breaks; what came is kept, and there is no normal end |
| end without a word | the answer ends as HTTP has it, without the vendor's word for done: no normal end either |
| cancel | the SDK closes the stream; the connection to the back-end is closed |
"""


class Notes:
    """Footnotes, each text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """Return the mark of a text; ``""`` for none."""
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        return f" <sup>{self.texts.index(text) + 1}</sup>"


def render(results: Results) -> str:
    """Write the page."""
    lines = [HEAD, ROWS, "## At a glance", "", f"| client | version | {' | '.join(PROVIDERS)} |"]
    lines.append("|---" * (len(PROVIDERS) + 2) + "|")
    for name, client in CLIENTS.items():
        cells = [_sum([each for each in results[name] if each.provider == provider]) for provider in PROVIDERS]
        lines.append(f"| [{name}](#{name}) | {version_of(client)} | {' | '.join(cells)} |")
    for name, client in CLIENTS.items():
        lines += ["", *_section(client, results[name])]
    return "\n".join(lines) + "\n"


def _sum(results: Sequence[Result]) -> str:
    said = [result for result in results if result.ok is not None]
    if not all(result.ok for result in said):
        return "**no**"
    return "yes" if len(said) == len(results) else f"{len(said)} of {len(results)}"


def _section(client: Client, results: Sequence[Result]) -> list[str]:
    lines = [f"## {client.name}", "", f"{client.package}, {version_of(client)}.", "", f"| | {' | '.join(PROVIDERS)} |"]
    lines.append("|---" * (len(PROVIDERS) + 1) + "|")
    notes = Notes()
    found = {(result.scenario, result.provider): result for result in results}
    for name, scenario in SCENARIOS.items():
        cells = [_cell(found.get((name, provider)), notes) for provider in PROVIDERS]
        lines.append(f"| {scenario.label} | {' | '.join(cells)} |")
    if notes.texts:
        lines += ["", *(f"{number}. {text}" for number, text in enumerate(notes.texts, 1))]
    return lines


def _cell(result: Result | None, notes: Notes) -> str:
    if result is None:
        return ""
    return {True: "yes", False: "**no**", None: "–"}[result.ok] + notes.mark(result.note)


def main() -> None:
    """Run the matrix and write the page."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:

        def run(client: Client) -> list[Result]:
            folder = Path(temporary) / client.name
            folder.mkdir()
            return run_client(client, folder)

        results = dict(zip(CLIENTS, pool.map(run, CLIENTS.values()), strict=True))
    PAGE.write_text(render(results), "utf-8")
    wrong = [f"{name}: {each}" for name, found in results.items() for each in found if each.ok is False]
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
