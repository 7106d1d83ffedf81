"""Write ``docs/performance.md`` and its drawings from a run of ``make bench``: ``benchmarks/results/summary.json``."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images" / "performance"
SUMMARY = ROOT / "benchmarks" / "results" / "summary.json"
sys.path.insert(0, str(ROOT))  # where the benchmarks are

from benchmarks.drawing import Bar, Line, bars, lines  # noqa: E402
from benchmarks.explanations import EXPLANATIONS  # noqa: E402
from benchmarks.figures import cell, number  # noqa: E402
from benchmarks.goals import Goal, goals  # noqa: E402

Summary = Mapping[str, Any]

INTRO = """
What backstream costs beside the least that has to be done, and beside other programs, measured in turns on one machine
([when](#the-run)). Read ratios, not times: a figure stands beside the floor of the same turn. Written is the median,
in parentheses the lowest and the highest; a first turn only warms up. Every event is counted: a stream that is not
whole fails the run. `make bench` measures anew, each program in an environment of its own; `make bench-quick` takes
a minute. What must not get worse unseen is held without a clock: `tests/perf` counts calls, wake-ups and copies.
"""
HEAD = """\
# Performance

<!-- Written by docs/generate_performance.py from a run of `make bench`. Change benchmarks/, then run that. -->

{intro}
"""
CLIENT = """
A scripted upstream, a process of its own, sends OpenAI chat events of about 180 bytes; who speaks Anthropic's protocol
gets the same texts in events of its kind. Microseconds of the client process, the opening of its streams included.
*raw floor*: an asyncio protocol that splits and decodes, without HTTP, errors or a generator. *aiohttp by hand*: whole
reads, split, decoded by type.
"""
GATEWAY = """
Ours as it is served: client keys with their limits, and a JSON log. *other dialect*: an OpenAI client before an
Anthropic back-end. nginx pumps bytes with one worker, unbuffered, without a log. An event's cost includes its share of
the request; *without opening*, it is taken while all streams run.
"""
MEDIA = """
*raw floor*: the file in steps, each encoded and written. Memory is the peak above that of sending a tiny item. A stall
is how late the loop came back to a timer of a millisecond; the floor has long ones, since it goes on for as long as
its socket takes more.
"""
WEIGHT = """
Distributions and MB of a fresh environment, without pip and .pyc files. Importing is the whole process, of which an
empty one takes {bare} ms. How fast a server is ready is told above.
"""
GIANT = """
Seconds from the request to the end of an answer with one event of so many megabytes. Above 30 MB our caps on lines and
events, 32 MiB, are raised.
"""
GROWTH = """
CPU µs per event while {rate} events a second arrive over so many streams, opening and closing left out: what is seen is
the number of streams alone. At so slow a rate every event finds the loop asleep, and costs more than in the tables
above.
"""
SOAK = """
**Memory under load: {streams} streams at a time, for {minutes:g} minutes** (`make bench BENCH="--soak 10"` for ten)
"""
PROFILE = """
`python -m benchmarks.profiles`, py-spy at 500 samples a second, under the paced loads of the goals;
shares of the time in which the loop does something. *with callees* counts what a function called as well.
"""
MADE = """
Python {python}, {system}, {cores} cores that are shared, loopback. *Load* is the machine's load average before a part
began; above 1.5 others were at work, from which times suffer, and ratios less.
"""
LOADS = {
    "coalesced": "one stream of 20,000 events, 50 a packet",
    "one a packet": "one stream of 20,000 events, 1 a packet",
    "200 paced streams": "200 streams × 100 events, one every 20 ms",
    "1,000 paced streams": "1,000 streams × 50 events (others: 20), one every 200 ms",
}
GATEWAY_LOADS = {
    "paced": "100 streams × 100 events, one every 20 ms",
    "crowd": "500 streams × 120 events, one every 50 ms, opened within a second",
    "thousand": "1,000 streams × 50 events, one every 100 ms, opened within a second",
    "coalesced": "one stream of 20,000 events, 50 a packet",
    "whole": "whole answers of 2 KB, JSON, 20 at a time",
}
PACKAGES = {
    "backstream": "backstream",
    "openai-python": "openai",
    "anthropic": "anthropic",
    "pydantic-ai": "pydantic-ai-slim[openai]",
    "any-llm": "any-llm-sdk",
    "g4f": "g4f",
    "litellm": "litellm",
    "litellm_proxy": "litellm[proxy]",
}
UNMARKED = {"14"}
"""Sizes without a mark below the drawing, where another is near."""
Table = Sequence[Sequence[str]]


def table(head: Sequence[str], rows: Table) -> str:
    """Write a table; all columns but the first are numbers."""
    lines_ = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join([*lines_, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def prose(text: str, **given: object) -> str:
    """Write a paragraph."""
    return textwrap.fill(" ".join(text.format(**given).split()), 120) + "\n"


def picture(name: str, what: str) -> str:
    """Put a drawing on the page."""
    return f"![{what}](images/performance/{name}.svg)\n"


def kind(name: str) -> str:
    """Who something is of."""
    return "ours" if name.startswith("backstream") else "floor" if name in {"raw floor", "nginx"} else "peer"


def bold(name: str, shown: str) -> str:
    """A name in a table; ours stands out."""
    return f"**{shown}**" if kind(name) == "ours" else shown


# --- goals


def goals_section(summary: Summary) -> str:
    """Every goal, and whether it is met."""
    found = goals(summary)
    said = {True: "met", False: "**not met**", None: "not judged"}
    rows = [(goal.what, goal.asked, goal.reached, said[goal.met]) for goal in found]
    text = "## Goals\n\n" + table(("goal", "asked", "reached", ""), rows)
    return text + "\n" + missed(found)


def missed(found: Sequence[Goal]) -> str:
    """Point to why."""
    number_of = sum(goal.met is False for goal in found)
    if not number_of:
        return "Every goal that was judged is met.\n"
    return f"{number_of} of {len(found)} are not met; [why, and what it would take](#where-the-time-goes).\n"


# --- client


def client_section(summary: Summary) -> str:
    """CPU per event of clients."""
    found = summary["client"]
    text = [
        "## Client: CPU per received event\n",
        prose(CLIENT),
        picture("client", "CPU per received event, by client and load"),
    ]
    for load, rows in found["loads"].items():
        text.append(f"**{LOADS[load]}**\n")
        ours = rows.get("backstream Client", {}).get("median")
        body = [
            (
                bold(name, versioned(name, found["versions"])),
                f"{cell(row)} µs",
                cell(row["ratio"]),
                f"{number(row['median'] / ours)}" if ours else "–",
                str(row["runs"]),
            )
            for name, row in rows.items()
        ]
        text.append(table(("", "CPU an event", "× raw floor", "× backstream Client", "runs"), body))
    text += left_out(found)
    if "backend_api" in summary:
        body = [
            (
                LOADS.get(load, load),
                *(f"{cell(rows[name])} µs" for name in ("floor", "backstream")),
                cell(rows["backstream"]["ratio"]),
            )
            for load, rows in summary["backend_api"]["loads"].items()
        ]
        text.append("**The backend API, through `BackendApi`**\n")
        text.append(table(("", "raw floor", "backstream", "× raw floor"), body))
    return "\n".join(text)


def versioned(name: str, versions: Mapping[str, str]) -> str:
    """A name with its version."""
    return f"{name} {versions[name]}" if name in versions else name


def left_out(found: Mapping[str, Any]) -> list[str]:
    """Who took no part, and why."""
    return [f"{name} was left out: {reason}\n" for name, reason in found.get("left_out", {}).items()]


def draw_client(summary: Summary) -> str:
    """Draw it."""
    panels = {
        f"{LOADS[load]}: CPU µs per event": [
            Bar(name, row["median"], f"{number(row['median'])}  ({number(row['ratio']['median'])} × floor)", kind(name))
            for name, row in sorted(rows.items(), key=lambda item: item[1]["median"])
        ]
        for load, rows in summary["client"]["loads"].items()
    }
    return bars("CPU per received event of clients; a step to the right is a factor", panels)


# --- gateway


def gateway_section(summary: Summary) -> str:
    """CPU per event of gateways, what they add, and how they start."""
    found = summary["gateway"]
    text = [
        "## Gateway: CPU per relayed event, and what it adds\n",
        prose(GATEWAY),
        picture("gateway", "CPU per relayed event, by gateway and load"),
    ]
    for load, what in GATEWAY_LOADS.items():
        rows = found["loads"].get(load)
        if rows is None:
            continue
        columns = {"cpu_us": "CPU µs", "ratio": "× nginx", "steady_us": "… without opening", "steady_ratio": "× nginx"}
        columns |= {"per_second": "a second", "delay_p99_ms": "p99 ms", "latest_ms": "latest ms", "late": "over 250 ms"}
        used = {key: head for key, head in columns.items() if any(key in row for row in rows.values())}
        body = [(bold(name, name), *(cell(row.get(key)) for key in used)) for name, row in rows.items()]
        text += [f"**{what}**\n", table(("", *used.values()), body)]
    heads = {
        "first_p50_ms": "first chunk p50",
        "first_p99_ms": "p99",
        "delay_p50_ms": "later chunks p50",
        "delay_p99_ms": "p99",
    }
    body = [(bold(n, n), *(cell(row[key]) for key in heads)) for n, row in found["loads"].get("latency", {}).items()]
    text += [
        "**Added, in ms, to a direct call; five streams at a time, in turns with direct calls**\n",
        table(("", *heads.values()), body),
    ]
    body = [
        (bold(name, name), cell(figure), cell(found["loads"]["idle"].get(name, {}).get("kib")))
        for name, figure in found["starts"].items()
    ]
    text += [
        "**From the start to the first 200; memory of each of 500 silent streams**\n",
        table(("", "seconds", "KiB a stream"), body),
    ]
    return "\n".join([*text, *left_out(found)])


def draw_gateway(summary: Summary) -> str:
    """Draw it."""
    panels = {}
    for load in ("paced", "crowd", "thousand", "whole"):
        rows = summary["gateway"]["loads"].get(load, {})
        what = "CPU µs per answer" if load == "whole" else "CPU µs per event"
        panels[f"{GATEWAY_LOADS[load]}: {what}"] = [
            Bar(name, row["cpu_us"]["median"], _gateway_value(row), kind(name)) for name, row in rows.items()
        ]
    return bars("CPU per event of gateways; a step to the right is a factor", panels)


def _gateway_value(row: Mapping[str, Any]) -> str:
    ratio = f"  ({number(row['ratio']['median'])} × nginx)" if "ratio" in row else ""
    return number(row["cpu_us"]["median"]) + ratio


# --- media, weight, giant


def media_section(summary: Summary) -> str:
    """What files cost."""
    found = summary["media"]
    text = [
        "## Media: one file sent as a data URI\n",
        prose(MEDIA),
        picture("media", "Wall time by size of the file"),
    ]
    body = [
        (
            f"{int(size):,} MB",
            bold(name, versioned(name, found["versions"])),
            f"{cell(row['wall'])} s",
            cell(row["ratio"]),
            f"+{cell(row['extra_mib'])} MiB",
            f"{cell(row['worst_stall_ms'])} ms",
        )
        for size, rows in found["sizes"].items()
        for name, row in rows.items()
    ]
    return "\n".join([*text, table(("", "", "wall", "× floor", "memory", "worst stall"), body), *left_out(found)])


def draw_media(summary: Summary) -> str:
    """Draw it."""
    return _by_size("Seconds to send a file", summary["media"]["sizes"], "megabytes")


def _by_size(title: str, sizes: Mapping[str, Any], across: str) -> str:
    names = dict.fromkeys(name for rows in sizes.values() for name in rows)
    given = [
        Line(
            name,
            kind(name),
            [(float(size), rows[name]["wall"]["median"]) for size, rows in sizes.items() if name in rows],
        )
        for name in sorted(names, key=lambda each: kind(each) != "ours")
    ]
    return lines(
        title,
        given,
        across=across,
        upwards=f"{title} (both scales: a step is a factor)",
        log_y=True,
        marks_x=[float(size) for size in sizes if size not in UNMARKED],
    )


def weight_section(summary: Summary) -> str:
    """What installations weigh."""
    rows = summary["weight"]["packages"]
    body = [
        (
            bold(name, f"{PACKAGES[name]} {row['version'] or ''}".strip()),
            str(row["distributions"]),
            number(row["megabytes"]),
            cell(row["import_ms"]),
            number(row["import_ms"]["min"]),
        )
        for name, row in rows.items()
    ]
    text = [
        "## Weight\n",
        prose(WEIGHT, bare=cell(rows["backstream"]["bare_ms"])),
        picture("weight", "Megabytes, and milliseconds to import"),
        table(("", "distributions", "MB", "import, ms", "best"), body),
    ]
    return "\n".join([*text, *left_out(summary["weight"])])


def draw_weight(summary: Summary) -> str:
    """Draw it."""
    rows = summary["weight"]["packages"]
    megabytes = [
        Bar(PACKAGES[n], r["megabytes"], f"{number(r['megabytes'])} MB, {r['distributions']} distributions", kind(n))
        for n, r in rows.items()
    ]
    imports = [
        Bar(PACKAGES[n], r["import_ms"]["median"], f"{number(r['import_ms']['median'])} ms", kind(n))
        for n, r in rows.items()
    ]
    return bars("Weight", {"on disk": megabytes, "import, the whole process": imports}, logarithmic=False)


def giant_section(summary: Summary) -> str:
    """What one large event costs."""
    found = summary["giant"]
    names = list(dict.fromkeys(name for rows in found["sizes"].values() for name in rows))
    body = [
        (
            f"{size} MB",
            *(cell(rows[n]["wall"]) if n in rows else "–" for n in names),
            cell(rows["backstream Client"]["ratio"]),
        )
        for size, rows in found["sizes"].items()
    ]
    text = [
        "## One giant event\n",
        prose(GIANT),
        picture("giant", "Seconds by size of the event"),
        table(("", *(bold(name, versioned(name, found["versions"])) for name in names), "ours × raw floor"), body),
    ]
    return "\n".join([*text, *left_out(found)])


def draw_giant(summary: Summary) -> str:
    """Draw it."""
    return _by_size("Seconds to receive one event", summary["giant"]["sizes"], "megabytes")


# --- growth, soak


def growth_section(summary: Summary) -> str:
    """How cost grows with streams and with time."""
    found, watched = summary["growth"], summary["soak"]
    sizes = list(next(iter(found["cpu_us"].values())))
    body = [(bold(name, name), *(cell(row[size]) for size in sizes)) for name, row in found["cpu_us"].items()]
    weights = [(bold(name, name), cell(figure)) for name, figure in found["client_kib"].items()]
    soaked = [
        (bold(n, n), f"{r['events']:,}", f"{r['mib_per_minute']:+.2f}", number(r["peak_mib"]), number(r["after_mib"]))
        for n, r in watched["rows"].items()
    ]
    return "\n".join(
        [
            "## Growth\n",
            prose(GROWTH, rate=number(found["per_second"])),
            picture("growth", "CPU per event by number of streams"),
            table(("streams", *(f"{int(size):,}" for size in sizes)), body),
            "**Memory of the client for each of 1,000 silent streams, KiB**\n",
            table(("", "KiB"), weights),
            prose(SOAK, **watched),
            picture("soak", "Resident memory over time"),
            table(("", "events", "MiB a minute", "most, MiB", "after it, MiB"), soaked),
        ]
    )


def draw_growth(summary: Summary) -> str:
    """Draw it."""
    found = summary["growth"]["cpu_us"]
    given = [
        Line(n, kind(n), [(float(size), figure["median"]) for size, figure in row.items()]) for n, row in found.items()
    ]
    marks = [point for point, _ in given[0].points]
    return lines(
        "CPU per event by number of streams", given, across="streams", upwards="CPU µs per event", marks_x=marks
    )


def draw_soak(summary: Summary) -> str:
    """Draw it."""
    given = [
        Line(name, kind(name), [tuple(each) for each in row["samples"]])
        for name, row in summary["soak"]["rows"].items()
    ]
    return lines("Resident memory over time", given, across="seconds", upwards="resident MiB", log_x=False)


# --- why


def profile_section(summary: Summary) -> str:
    """Where the time goes, and what it would take."""
    text = [
        "## Where the time goes\n",
        prose(PROFILE),
    ]
    missing = dict.fromkeys(goal.part for goal in goals(summary) if goal.met is False)
    text += [prose(f"**{part}.** {EXPLANATIONS[part]}") for part in missing]
    for name, made in summary.get("profiles", {}).items():
        text.append(f"**{name}**\n")
        if "failed" in made:
            text.append(f"Could not be looked at: {made['failed']}\n")
            continue
        body = [
            (f"`{row['function']}`", f"{row['self']:.1f} %", f"{row['with_callees']:.1f} %") for row in made["rows"]
        ]
        text.append(table(("function", "itself", "with callees"), body))
    return "\n".join(text)


def made_section(summary: Summary) -> str:
    """When and where it was measured."""
    parts = summary["made"]
    one = next(iter(parts.values()))
    body = [(name, made["at"], str(made["load_before"]), str(made["seconds"])) for name, made in parts.items()]
    return "\n".join(
        [
            "## The run\n",
            prose(MADE, **one),
            table(("part", "begun", "load", "seconds"), body),
        ]
    )


SECTIONS: dict[str, Callable[[Summary], str]] = {
    "client": client_section,
    "gateway": gateway_section,
    "media": media_section,
    "weight": weight_section,
    "giant": giant_section,
    "growth": growth_section,
    "profiles": profile_section,
    "made": made_section,
}
DRAWINGS: dict[str, Callable[[Summary], str]] = {
    "client": draw_client,
    "gateway": draw_gateway,
    "media": draw_media,
    "weight": draw_weight,
    "giant": draw_giant,
    "growth": draw_growth,
    "soak": draw_soak,
}


def render(summary: Summary) -> str:
    """Write the page; parts that were not measured have no section."""

    def sections() -> Iterator[str]:
        yield HEAD.format(intro=prose(INTRO))
        yield goals_section(summary)
        for name, write in SECTIONS.items():
            if name in summary:
                yield write(summary)

    return "\n".join(section.rstrip("\n") + "\n" for section in sections())


def main() -> None:
    """Write the page and its drawings."""
    summary = json.loads(SUMMARY.read_text())
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        if name in summary:
            (IMAGES / f"{name}.svg").write_text(draw(summary), "utf-8")
    PAGE.write_text(render(summary), "utf-8")


if __name__ == "__main__":
    main()
