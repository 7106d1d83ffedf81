"""The page for Prometheus: its form, what is counted, and how the values of workers become one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.chunks import Content, Finish, Usage
from backstream.errors import RateLimitError
from backstream.reply import End
from backstream.server import Settings, create_app
from backstream.server.exposition import OPENMETRICS, PLAIN, Family, render_families, wants_openmetrics
from backstream.server.keys import add_key
from backstream.server.metrics import FAMILIES, Metrics, Snapshot, merge_snapshots, render_snapshot
from backstream.server.process import measure_process
from backstream.server.records import RequestRecord
from support_server import HELLO, Running, provider_of, running, saying

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse_page(page: str) -> tuple[Samples, dict[str, str]]:
    """Read a page by the rules of the format, strictly: samples, and the type of each family."""
    samples: Samples = {}
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    family = ""
    assert page.endswith("\n")
    for line in page.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in helped, "help twice, or a family in two places"
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            name, labels, value = match.groups()
            suffixes = ("", "_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
            assert name in {family + suffix for suffix in suffixes}, line
            pairs = tuple(pair.groups() for pair in LABEL.finditer(labels or ""))
            assert ",".join(f'{label}="{text}"' for label, text in pairs) == (labels or "")
            assert len({label for label, _ in pairs}) == len(pairs)
            assert (name, pairs) not in samples, "a sample twice"
            samples[name, pairs] = float(value)
    return samples, kinds


def check_histograms(samples: Samples, kinds: dict[str, str]) -> int:
    """Check that buckets rise, that the last one is the count, and return how many histograms there are."""
    found: dict[tuple[str, Any], list[tuple[float, float]]] = {}
    for (name, pairs), value in samples.items():
        family = name.removesuffix("_bucket")
        if name.endswith("_bucket") and kinds.get(family) == "histogram":
            rest = tuple(pair for pair in pairs if pair[0] != "le")
            found.setdefault((family, rest), []).append((float(dict(pairs)["le"]), value))
    for (family, rest), buckets in found.items():
        assert buckets == sorted(buckets)
        assert buckets[-1] == (float("inf"), samples[f"{family}_count", rest])
        assert (f"{family}_sum", rest) in samples
    return len(found)


def record_of(**values: Any) -> RequestRecord:
    record = RequestRecord("POST")
    for name, value in {"route": "chat", "status": 200, "seconds": 0.2, **values}.items():
        setattr(record, name, value)
    return record


def counted(*records: RequestRecord) -> Samples:
    metrics = Metrics()
    for record in records:
        metrics.note(record)
    page = render_snapshot(metrics.snapshot({}))
    return parse_page(page.decode())[0]


async def page_of(server: Running, **headers: str) -> tuple[Samples, dict[str, str]]:
    answer = await server.ask("GET", "/metrics", headers=headers)
    assert (answer.status, answer.header("content-type")) == (200, PLAIN)
    return parse_page(answer.body.decode())


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(labels.items())))


# --- the form


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_keep_the_rules(family: Family) -> None:
    """Source: https://prometheus.io/docs/practices/naming/ and the checks of ``promtool check metrics``."""
    assert re.fullmatch(r"(backstream|process)(_[a-z]+)+", family.name)
    assert (family.kind == "counter") == family.name.endswith("_total")
    assert not family.name.endswith(("_count", "_sum", "_bucket"))
    assert family.help
    assert all(re.fullmatch("[a-z]+", label) for label in family.labels)
    assert "le" not in family.labels
    assert list(family.buckets) == sorted(set(family.buckets))
    assert (family.kind == "histogram") == bool(family.buckets)


def test_the_page_is_written_exactly() -> None:
    families = (
        Family(name="a_total", kind="counter", help="Line\none \\ two.", labels=("x",)),
        Family(name="none", kind="gauge", help="Left out."),
        Family(name="b", kind="gauge", help="B."),
        Family(name="h_seconds", kind="histogram", help="H.", buckets=(0.5, 2)),
    )
    values = {("a_total", 'q"\\\n'): 2.0, ("a_total", "p"): 1e20, ("b",): 0.25}
    histograms = {("h_seconds",): [1, 2, 3, 4.5]}
    samples = [
        'a_total{x="p"} 1e+20',
        'a_total{x="q\\"\\\\\\n"} 2',
        "# HELP b B.",
        "# TYPE b gauge",
        "b 0.25",
        "# HELP h_seconds H.",
        "# TYPE h_seconds histogram",
        'h_seconds_bucket{le="0.5"} 1',
        'h_seconds_bucket{le="2.0"} 3',
        'h_seconds_bucket{le="+Inf"} 6',
        "h_seconds_sum 4.5",
        "h_seconds_count 6",
    ]
    plain = ["# HELP a_total Line\\none \\\\ two.", "# TYPE a_total counter", *samples, ""]
    assert render_families(families, values, histograms).decode().split("\n") == plain
    openmetrics = ["# HELP a Line\\none \\\\ two.", "# TYPE a counter", *samples, "# EOF", ""]
    assert render_families(families, values, histograms, openmetrics=True).decode().split("\n") == openmetrics


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_label_can_be_read_again(text: str) -> None:
    family = Family(name="a", kind="gauge", help=text, labels=("x",))
    page = render_families([family], {("a", text): 1}, {}).decode()
    [(_, [(_, written)])] = [(name, pairs) for name, pairs in parse_page(page)[0]]
    assert re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), written) == text


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([], False),
        ([b"text/plain"], False),
        ([b"application/OpenMetrics-text; version=1.0.0;q=0.8, text/plain"], True),
        ([b"text/plain", b"application/openmetrics-text"], True),
    ],
)
def test_openmetrics_where_it_is_asked_for(accept: list[bytes], wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


# --- what is counted


def test_an_answer_is_counted() -> None:
    record = record_of(provider="openai", model="gpt", asked_seconds=0.01)
    record.note_block([Content(content="a"), Content(content="b")])
    record.note_usage(Usage(usage={"prompt_tokens": 3, "completion_tokens": 0}))
    record.first_seconds = 0.02
    found = counted(record, record)
    assert value(found, "backstream_requests_total", route="chat", status="200", end="complete", error="none") == 2
    assert value(found, "backstream_chunks_total", provider="openai", model="gpt") == 4
    assert value(found, "backstream_tokens_total", direction="input", provider="openai", model="gpt") == 6
    assert value(found, "backstream_tokens_total", direction="output", provider="openai", model="gpt") is None
    assert value(found, "backstream_first_chunk_seconds_bucket", provider="openai", model="gpt", le="0.01") == 0
    assert value(found, "backstream_first_chunk_seconds_bucket", provider="openai", model="gpt", le="0.025") == 2
    assert value(found, "backstream_request_duration_seconds_sum", route="chat") == pytest.approx(0.4)


@pytest.mark.parametrize(("status", "reason"), [(401, "key"), (429, "limit"), (503, "busy"), (418, "other")])
def test_a_refusal_is_counted_by_its_reason(status: int, reason: str) -> None:
    found = counted(record_of(status=status, end="refused", error=reason))
    assert value(found, "backstream_refused_total", reason=reason) == 1


def test_what_the_provider_refused_is_no_refusal_of_ours() -> None:
    found = counted(record_of(status=400, end="refused", error="BackendRequestError", asked_seconds=0.1))
    assert not [name for name, _ in found if name == "backstream_refused_total"]


def test_a_client_that_left_has_no_status() -> None:
    found = counted(record_of(status=None, end="cancelled", route="", seconds=None))
    labels = {"route": "none", "status": "none", "end": "cancelled", "error": "none"}
    assert value(found, "backstream_requests_total", **labels) == 1
    assert "backstream_request_duration_seconds_count" not in {name for name, _ in found}


@pytest.mark.parametrize("member", ["model", "error"])
def test_names_are_bounded(member: str) -> None:
    records = [record_of(provider="p", chunks=1, **{member: f"name{number}"}) for number in range(1000)]
    found = counted(*records, record_of(provider="p", chunks=1, **{member: "name3"}))
    names = {dict(pairs)[member]: count for (_, pairs), count in found.items() if member in dict(pairs)}
    assert len(names) == 201
    assert names["name3"] == 2
    assert names["other"] == 800


def test_our_own_errors_are_told_however_many_others_there_were() -> None:
    records = [record_of(error=f"name{number}") for number in range(1000)]
    found = counted(*records, record_of(error="RateLimitError", end="failed"))
    labels = {"route": "chat", "status": "200", "end": "failed", "error": "RateLimitError"}
    assert value(found, "backstream_requests_total", **labels) == 1


# --- several workers


def test_values_of_workers_are_added_up() -> None:
    one, other = Metrics(), Metrics()
    one.note(record_of())
    other.note(record_of())
    other.note(record_of(seconds=1000.0))
    gauges: list[dict[tuple[str, ...], float]] = [
        {("backstream_streams_open",): 2, ("backstream_event_loop_lag_seconds",): 0.5, ("process_max_fds",): 8},
        {("backstream_streams_open",): 3, ("backstream_event_loop_lag_seconds",): 0.1, ("process_max_fds",): 5},
    ]
    snapshots = [one.snapshot(gauges[0]), other.snapshot(gauges[1])]
    sent = [msgspec.json.decode(msgspec.json.encode(each), type=Snapshot) for each in snapshots]
    found, kinds = parse_page(render_snapshot(merge_snapshots(sent)).decode())
    assert check_histograms(found, kinds) == 1
    assert value(found, "backstream_requests_total", route="chat", status="200", end="complete", error="none") == 3
    assert value(found, "backstream_request_duration_seconds_bucket", route="chat", le="300.0") == 2
    assert value(found, "backstream_request_duration_seconds_count", route="chat") == 3
    assert value(found, "backstream_streams_open") == 5
    assert value(found, "backstream_event_loop_lag_seconds") == 0.5
    assert value(found, "process_max_fds") == 5
    assert merge_snapshots(sent) == merge_snapshots([merge_snapshots(sent[:1]), merge_snapshots(sent[1:])])


def test_a_snapshot_of_another_version_is_left_out() -> None:
    odd = Snapshot(
        [(("unknown_total",), 1), (("backstream_streams_open", "label"), 1)],
        [(("unknown",), [1.0]), (("backstream_request_duration_seconds", "chat"), [1.0, 2.0])],
    )
    assert merge_snapshots([odd]) == Snapshot([], [])


async def test_workers_leave_their_values_for_each_other(tmp_path: Path) -> None:
    apps = [
        create_app([saying()], Settings(keys_file=None, state_file=tmp_path / "state.sqlite", worker=number))
        for number in range(2)
    ]
    async with running(app=apps[0]) as one, running(app=apps[1]) as other:
        for server in (one, one, other):
            await server.converse()
        async with asyncio.timeout(20):
            while (found := await page_of(one))[0][("backstream_workers", ())] < 2:
                await asyncio.sleep(0.05)
        for app in apps:
            await app.aclose()
    labels = {"route": "conversation", "status": "200", "end": "complete", "error": "none"}
    assert value(found[0], "backstream_requests_total", **labels) == 3
    assert check_histograms(*found) > 2


async def test_one_worker_writes_nothing(tmp_path: Path) -> None:
    app = create_app([saying()], Settings(keys_file=None, state_file=tmp_path / "state.sqlite"))
    async with running(app=app) as server:
        await server.converse()
        assert value((await page_of(server))[0], "backstream_workers") == 1
        assert await app.ledger.snapshots() == []
        await app.aclose()


async def test_an_unreadable_snapshot_is_passed_over(tmp_path: Path) -> None:
    app = create_app([saying()], Settings(keys_file=None, state_file=tmp_path / "state.sqlite", worker=0))
    await app.ledger.put_snapshot("another", b"\xff{")
    async with running(app=app) as server:
        assert value((await page_of(server))[0], "backstream_workers") == 1
        await app.aclose()


# --- the route


async def test_the_page_of_a_running_server() -> None:
    async def fail(*args: Any, **kwargs: Any) -> Any:
        yield Content(content="a")
        raise RateLimitError("slowly", status=429)

    providers = {"Good": saying(Content(content="a"), Finish(finish="stop")), "Bad": provider_of(fail, models=["bad"])}
    async with running(providers) as server:
        await server.converse()
        await server.converse({**HELLO, "model": "bad"})
        await server.ask("GET", "/nowhere")
        found, kinds = await page_of(server)
        again, _ = await page_of(server)
        head = await server.ask("HEAD", "/metrics")
    assert check_histograms(found, kinds) > 2
    requests = {pairs: count for (name, pairs), count in found.items() if name == "backstream_requests_total"}
    assert {tuple(dict(pairs).values()): count for pairs, count in requests.items()} == {
        ("conversation", "200", "complete", "none"): 1,
        ("conversation", "200", "failed", "RateLimitError"): 1,
        ("none", "404", "refused", "unknown"): 1,
    }
    assert value(found, "backstream_streams_open") == 0
    assert found["process_start_time_seconds", ()] > 1e9
    assert value(again, "backstream_requests_total", route="metrics", status="200", end="complete", error="none") == 1
    assert (head.status, head.body) == (200, b"")
    assert all(after >= found[key] for key, after in again.items() if key in found and key[0].endswith("_total"))


async def test_an_open_stream_is_seen() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(*args: Any, **kwargs: Any) -> Any:
        yield "a"
        begun.set()
        await go_on.wait()
        yield "b"

    async with running([provider_of(wait)]) as server:
        answer = asyncio.create_task(server.converse())
        await begun.wait()
        assert value((await page_of(server))[0], "backstream_streams_open") == 1
        go_on.set()
        assert (await answer).status == 200
        assert value((await page_of(server))[0], "backstream_streams_open") == 0


async def test_openmetrics_from_a_running_server() -> None:
    async with running([saying()]) as server:
        await server.converse()
        answer = await server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.header("content-type") == OPENMETRICS
    assert answer.body.endswith(b"\n# EOF\n")
    assert b"# TYPE backstream_requests counter\nbackstream_requests_total{" in answer.body


async def test_the_page_needs_a_key_where_there_are_keys(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "laptop")
    async with running([saying()], keys_file=tmp_path / "keys.json") as server:
        assert (await server.ask("GET", "/metrics")).status == 401
        found, _ = await page_of(server, Authorization=f"Bearer {key}")
    assert value(found, "backstream_refused_total", reason="key") == 1


def test_this_process_is_measured() -> None:
    measured = measure_process()
    assert measured["process_cpu_seconds_total"] > 0
    assert {f"{name}" for name in measured} <= {family.name for family in FAMILIES}


def test_an_end_is_no_chunk() -> None:
    record = RequestRecord()
    record.note_block([Content(content="a"), End("complete")])
    assert record.chunks == 1
