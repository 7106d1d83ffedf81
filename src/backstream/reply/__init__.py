"""The order rules of a stream: how it ends, what counts as content, and the whole reply that its chunks add up to."""

from backstream.reply.advice import advice_for
from backstream.reply.end import Block, End, EndState, end_after, has_content, judged, state_after
from backstream.reply.folding import fold, join_deltas
from backstream.reply.whole import Cost, RateLimit, Reply, Service

__all__ = [
    "Block",
    "Cost",
    "End",
    "EndState",
    "RateLimit",
    "Reply",
    "Service",
    "advice_for",
    "end_after",
    "fold",
    "has_content",
    "join_deltas",
    "judged",
    "state_after",
]
