"""What was aimed for, and whether a run reached it: always by the run's median, unless a goal says another measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.figures import Figure, cell, number

__all__ = ["Goal", "goals"]

Summary = Mapping[str, Any]
CLIENT, NGINX, SAME, OTHER, LITELLM = (
    "backstream Client",
    "nginx",
    "backstream, same dialect",
    "backstream, other dialect",
    "LiteLLM proxy",
)
RISE = 1.3


@dataclasses.dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        what: What is measured.
        asked: What was aimed for.
        reached: What the run measured.
        met: Whether that is enough; ``None`` where the run did not measure it.
        part: By which :data:`EXPLANATIONS` has why it is not met, and what it would take.
    """

    what: str
    asked: str
    reached: str
    met: bool | None
    part: str


def goals(summary: Summary) -> list[Goal]:
    """Judge a run."""
    found: list[Goal] = []
    for judge in (_client, _gateway, _media, _weight, _giant, _growth, _soak):
        try:
            found += judge(summary)
        except KeyError as missing:
            name = judge.__name__.strip("_")
            found.append(Goal(f"{name}: {missing}", "–", "not in this run", None, name))
    return found


def _at_most(what: str, figure: Figure, most: float, unit: str, part: str, *, by: str = "median") -> Goal:
    best = f", best {number(figure['min'])}" if by == "min" else ""
    return Goal(what, f"≤ {number(most)} {unit}", f"{cell(figure)} {unit}{best}", figure[by] <= most, part)


def _times_less(what: str, ours: Figure, theirs: Figure, least: float, part: str, floor: Figure) -> Goal:
    times, possible = (theirs["median"] / figure["median"] for figure in (ours, floor))
    reached = f"{number(times)} × less; the floor is {number(possible)} × less"
    return Goal(what, f"≥ {number(least)} × less", reached, times >= least, part)


def _client(summary: Summary) -> Iterator[Goal]:
    for load, most, least in (("coalesced", 1.5, 100), ("200 paced streams", 1.5, 15)):
        rows = summary["client"]["loads"][load]
        name = f"client, {load}: CPU an event"
        yield _at_most(name, rows[CLIENT]["ratio"], most, "× raw floor", load)
        if "openai-python" in rows:
            what = f"{name}, beside openai-python"
            yield _times_less(what, rows[CLIENT], rows["openai-python"], least, load, rows["raw floor"])


def _gateway(summary: Summary) -> Iterator[Goal]:
    loads = summary["gateway"]["loads"]
    name = "gateway, 100 paced streams, same dialect: CPU an event"
    yield _at_most(name, loads["paced"][SAME]["ratio"], 3, "× nginx", "gateway")
    if LITELLM in loads["paced"]:
        ours, theirs = loads["paced"][SAME]["cpu_us"], loads["paced"][LITELLM]["cpu_us"]
        floor = loads["paced"][NGINX]["cpu_us"]
        yield _times_less(f"{name}, beside the LiteLLM proxy", ours, theirs, 40, "gateway", floor)
    added = loads["latency"][SAME]
    yield _at_most("gateway: added to the first chunk, p50", added["first_p50_ms"], 1, "ms", "first chunk")
    yield _at_most("gateway: added to the first chunk, p99", added["first_p99_ms"], 5, "ms", "first chunk")
    yield _at_most("gateway: from its start to the first 200", summary["gateway"]["starts"][SAME], 0.5, "s", "start")


def _media(summary: Summary) -> Iterator[Goal]:
    sizes = summary["media"]["sizes"]
    row = sizes["100"][CLIENT]
    yield _at_most("100 MB of media: memory above the base line", row["extra_mib"], 16, "MiB", "media")
    yield _at_most("100 MB of media: wall time", row["wall"], 0.5, "s", "media")
    yield _at_most("100 MB of media: worst stall of the loop", row["worst_stall_ms"], 10, "ms", "media")
    yield _at_most("1,000 MB of media: the same memory", sizes["1000"][CLIENT]["extra_mib"], 16, "MiB", "media")


def _weight(summary: Summary) -> Iterator[Goal]:
    row = summary["weight"]["packages"]["backstream"]
    yield Goal("base install", "≤ 6 distributions", f"{row['distributions']}", row["distributions"] <= 6, "weight")
    yield Goal("base install, on disk", "≤ 12 MB", f"{number(row['megabytes'])} MB", row["megabytes"] <= 12, "weight")
    yield _at_most("import, the whole process, best of its runs", row["import_ms"], 80, "ms", "weight", by="min")


def _giant(summary: Summary) -> Iterator[Goal]:
    sizes = summary["giant"]["sizes"]
    yield _at_most("one event of 14 MB", sizes["14"][CLIENT]["wall"], 1, "s", "giant")
    each = {int(size): row[CLIENT]["wall"]["median"] / int(size) for size, row in sizes.items() if int(size) >= 8}
    rise = each[max(each)] / each[min(each)]
    what = f"one event: seconds per MB at {max(each)} MB against {min(each)} MB (linear growth is 1)"
    yield Goal(what, "≤ 1.5 ×", f"{number(rise)} ×", rise <= 1.5, "giant")


def _growth(summary: Summary) -> Iterator[Goal]:
    found = summary["growth"]
    for name in (CLIENT, SAME, OTHER):
        figures = found["cpu_us"][name]
        rise = figures["1000"]["median"] / figures["1"]["median"]
        what = f"{name}: CPU an event at 1,000 streams against 1, at the same rate"
        yield Goal(what, f"≤ {RISE} ×", f"{number(rise)} ×", rise <= RISE, "growth")
    yield _at_most("client: memory of each of 1,000 silent streams", found["client_kib"][CLIENT], 60, "KiB", "growth")
    kib = summary["gateway"]["loads"]["idle"][SAME]["kib"]
    yield _at_most("gateway: memory of each of 500 silent streams", kib, 60, "KiB", "growth")


def _soak(summary: Summary) -> Iterator[Goal]:
    found = summary["soak"]
    judged: Callable[[float], bool | None] = lambda slope: slope < 1 if found["minutes"] >= 10 else None  # noqa: E731
    for name, row in found["rows"].items():
        slope = row["mib_per_minute"]
        what = f"{name}: growth of memory under load, over {found['minutes']:g} minutes"
        note = "" if found["minutes"] >= 10 else "; too short to judge"
        yield Goal(what, "< 1 MiB a minute, in ten", f"{slope:+.2f} MiB a minute{note}", judged(slope), "soak")
