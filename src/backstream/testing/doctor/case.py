"""One examination under way: what has been asked already, so that many checks can look at one answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from backstream.errors import BackstreamError
from backstream.models import ModelInfo
from backstream.registry.picking import pick_model
from backstream.testing.doctor.observing import Observed, converse, fetch, make_request
from backstream.testing.doctor.target import Target
from backstream.testing.doctor.verdict import Verdict

__all__ = ["Case", "Check"]

_LIST_SECONDS: Final = 10.0


class Case:
    """What the checks look at.

    Args:
        target: Whom they ask.
        model: The model; ``""`` takes the first of its list that seems to converse.

    Attributes:
        target: Whom they ask.
        model: The model, once :meth:`prepare` has run.
        named: Whether the model was named, and not taken from the list.
        models: The list of models; empty where there is none.
        listing: How the list was answered.
        list_trouble: Why there is no list; ``""`` where there is one.
    """

    def __init__(self, target: Target, model: str = "") -> None:
        self.target = target
        self.model = model
        self.named = bool(model)
        self.models: Sequence[ModelInfo] = ()
        self.listing = Observed()
        self.list_trouble = ""
        self._answers: dict[bool, asyncio.Task[Observed]] = {}

    @property
    def dialect(self) -> str:
        """The dialect's name."""
        return self.target.dialect.name

    async def prepare(self) -> None:
        """Ask for the list of models, and choose the model."""
        patient = dataclasses.replace(self.target, patience_seconds=max(self.target.patience_seconds, _LIST_SECONDS))
        self.listing = await fetch(patient, self.target.models_path)
        self.list_trouble = self.listing.trouble
        if not self.list_trouble:
            try:
                self.models = self.target.dialect.parse_models(self.listing.body).models
            except BackstreamError as error:
                self.list_trouble = str(error)
        if not self.model and self.models:
            self.model = (pick_model(self.models, small=False) or self.models[0]).id

    async def streamed(self) -> Observed:
        """Return the one streamed answer that most checks look at."""
        return await self._answer(stream=True)

    async def whole(self) -> Observed:
        """Return the one whole answer that most checks look at."""
        return await self._answer(stream=False)

    async def _answer(self, *, stream: bool) -> Observed:
        if stream not in self._answers:
            request = make_request(self.model, stream=stream)
            self._answers[stream] = asyncio.ensure_future(converse(self.target, request))
        return await self._answers[stream]


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Its name: what it is about, a dot, and what of it.
        run: Makes it.
        remedy: What to do where it fails.
        skipped_in: Dialects that have nothing to check, with the reason.
    """

    name: str
    run: Callable[[Case], Awaitable[Verdict]]
    remedy: str
    skipped_in: tuple[str, str] | None = None
