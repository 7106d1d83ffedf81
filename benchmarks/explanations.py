"""Why a goal is not met, and what it would take: shown beside the profiles for the parts where one is missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["EXPLANATIONS"]

EXPLANATIONS: Final[Mapping[str, str]] = {
    "coalesced": """
        Beyond what the floor does, each event becomes a typed chunk (`_read_text`), is held against the caps on lines
        and events (`LineAssembler`, `split_alike`), and is kept for `reply`; of a long answer, what was kept is joined
        (`join_deltas`), which is the largest part that another design would save: keep the texts as they come, and
        join them when somebody asks. What typed chunks and caps cost alone is the row *backstream openai_chat*.
        Iterating costs little: `blocks()` instead of chunks saved a twentieth when that was tried. Where even the
        floor is less than a hundred times cheaper than openai-python, no client in Python can be.
        """,
    "200 paced streams": """
        Here an event is a wake-up of its own, on objects that the other 199 streams have pushed out of the processor's
        caches; the floor touches very few. Decoding one event by itself takes 1.8 µs, against 0.8 by the floor's means,
        and HTTP 0.2: most of the rest is memory. What lies between the dialect and the client is the opening of a
        stream (the provider is found, keys and clocks are settled, the wrappers of retry, breaker and limits are
        built: some 0.3 ms, a hundredth of it for each event) and the coroutines that an event resumes, from
        `AsyncResult` down to `StreamResponse.read_block`. Pushing blocks up to the edge in the socket's own callback,
        as the gateway's `pump` does, was tried on this load: with no task woken at all it saved a tenth, and with the
        one wake-up that `async for` needs, nothing. What it would take is one object a stream instead of six: HTTP,
        decoder, parser and answer in one, and so the end of the floors that the house is built of; or a loop that
        costs less itself, as uvloop, which works with all of it and is not forced on anybody.
        """,
    "gateway": """
        The kernel's part, `send` and `recv`, is nginx's too. While all streams run, an event costs what the columns
        *without opening* say; the rest is the request's, shared by 100 events: see the next paragraph. LiteLLM's figure
        is of a proxy that falls behind, and then reads several events at once, which makes each of them cheaper.
        """,
    "first chunk": """
        A request costs a millisecond or two of CPU, by the machine, and five come at a time, so that the last one
        waits for four. The profile of whole answers shows where it goes: into `write` and thread hops (the ledger
        counts a key's requests, streams and tokens in SQLite, on a thread of its own; each hop wakes the loop through
        a socket), opening the answer (`open_source`), request ids, and the log. What it would take: counting in
        memory and writing behind, which gives up exactness between workers, and fewer layers that a call is opened
        through.
        """,
    "start": """
        Most of the start is the import of the server's modules, uvicorn among them, and the reading of bytecode; on a
        busy machine it is the first to suffer.
        """,
    "media": """
        Base64 is done in steps of 48 KiB on the loop, each followed by a write. A stall longer than such a step is
        time that others had on the two cores; the floor's stalls, of the same turns, stand beside it.
        """,
    "weight": """
        The process that imports is bare Python first: see its time above. What remains is msgspec and our own modules.
        """,
    "giant": """
        Pieces are kept as they come and joined once; what is left are the copies that `tests/perf` counts, and the
        memory of the size of the event, which the system has to give.
        """,
    "growth": """
        Nothing in the client or gateway looks through all streams. What grows is what falls out of the processor's
        caches between two events of a stream; the floor, of the same run, shows it too.
        """,
    "soak": """
        Chunks of running answers, and what the allocator keeps of them. The drawing shows whether it levels off.
        """,
}
"""By the part of a goal."""
