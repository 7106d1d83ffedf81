"""Services beside conversations (embeddings, pictures, speech, transcripts), in each form of back-end; pure."""

from __future__ import annotations

from backstream.dialects.services.base import ServiceForms, TextInput
from backstream.dialects.services.gemini import GeminiServices
from backstream.dialects.services.ollama import OllamaServices
from backstream.dialects.services.openai import OpenAIServices

__all__ = ["ServiceForms", "TextInput", "services_for"]

_FORMS: dict[str, type[ServiceForms]] = {
    "openai_chat": OpenAIServices,
    "openai_responses": OpenAIServices,
    "gemini": GeminiServices,
    "ollama": OllamaServices,
}


def services_for(dialect: str) -> ServiceForms | None:
    """Return the form of services that goes with a dialect; ``None`` where it has none."""
    cls = _FORMS.get(dialect)
    return cls(dialect) if cls is not None else None
