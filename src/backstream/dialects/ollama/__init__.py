"""Ollama's own API, both directions."""

from backstream.dialects.ollama.dialect import Ollama

__all__ = ["Ollama"]
