"""Ollama's ``/api/generate`` as a server speaks it: one prompt instead of messages, and an answer without them.

Source: https://docs.ollama.com/api/generate
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from backstream.dialects.base import Envelope
from backstream.dialects.ollama.dialect import Ollama
from backstream.dialects.ollama.reply import reply_members
from backstream.dialects.ollama.stream_out import OllamaRenderer
from backstream.dialects.ollama.vendor import render_time
from backstream.errors import InvalidRequestError, UnsupportedFeatureError
from backstream.reply import Block
from backstream.request import Request
from backstream.wire.json_text import encode_json

__all__ = ["OllamaGenerate", "render_loaded"]

_PROMPT: Final = frozenset({"prompt", "system", "images", "suffix", "raw", "template", "context"})


class OllamaGenerate(Ollama, frozen=True, kw_only=True):
    """The same dialect on its route for one prompt; a server's side only."""

    def parse_request(self, members: Mapping[str, Any], path: str = "") -> Request:
        """Read a client's request; one without prompt and pictures has no turns.

        Raises:
            UnsupportedFeatureError: It asks for what only a model's own template can do, or for state.
            InvalidRequestError: Another shape; the text says where.
        """
        for name, remedy in (
            ("suffix", "ask a server of the model's own"),
            ("raw", "leave it out"),
            ("template", "leave it out"),
            ("context", "send the conversation to /api/chat"),
        ):
            if members.get(name):
                raise UnsupportedFeatureError(f"{name} is not known here", remedy)
        prompt, system, images = (members.get(name) for name in ("prompt", "system", "images"))
        for name, text in (("prompt", prompt), ("system", system)):
            if not isinstance(text, str | None):
                raise InvalidRequestError(f"{name} is a {type(text).__name__}", "use a str")
        messages: list[Mapping[str, Any]] = []
        if prompt or images:
            messages = [{"role": "user", "content": prompt or "", **({"images": images} if images else {})}]
            messages = [{"role": "system", "content": system}, *messages] if system else messages
        rest = {name: value for name, value in members.items() if name not in _PROMPT}
        return super().parse_request({**rest, "messages": messages}, path)

    def stream_renderer(self, envelope: Envelope) -> OllamaRenderer:
        """Make the renderer of one streamed answer."""
        return _GenerateRenderer(envelope)

    def render_reply(self, chunks: Block, envelope: Envelope) -> bytes:
        """Render a whole answer."""
        members = reply_members(chunks, envelope)
        message = _wrap(members.pop("message"))
        return encode_json({**members, **message})


class _GenerateRenderer(OllamaRenderer):
    _around: ClassVar = (b',"response":', b',"done":false}\n')

    __slots__ = ()

    @staticmethod
    def _wrap(message: Mapping[str, Any]) -> Mapping[str, Any]:
        return _wrap(message)


def _wrap(message: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    return {"response": message["content"], **rest}


def render_loaded(model: str, created: float) -> bytes:
    """Render the answer to a request without a prompt, by which Ollama's clients have a model loaded.

    Args:
        model: The model asked for.
        created: When, in seconds since the epoch.
    """
    head = {"model": model, "created_at": render_time(created), "response": ""}
    return encode_json({**head, "done": True, "done_reason": "load"})
