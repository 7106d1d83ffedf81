"""From the name of a model to its provider. Pure: it knows only what it is given, and asks nobody."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from backstream.errors import ConfigurationError, UnknownModelError, UnknownProviderError

__all__ = ["Names", "Target"]

_MOST_NAMED: Final = 6
_WORD: Final = re.compile("o(?=[0-9])|[a-z]+")
_MAKERS: Final = {
    "claude": "anthropic",
    "gpt": "openai",
    "chatgpt": "openai",
    "o": "openai",
    "gemini": "gemini",
    "grok": "xai",
    "mistral": "mistral",
    "magistral": "mistral",
    "ministral": "mistral",
    "codestral": "mistral",
    "deepseek": "deepseek",
    "command": "cohere",
    "sonar": "perplexity",
    "kimi": "moonshot",
    "glm": "zai",
}
"""The word that models' names begin with → the provider that makes them and is named first for them."""


class Target(msgspec.Struct, frozen=True):
    """Which model of which provider.

    Attributes:
        provider: The provider's name.
        model: The model's name there; ``""`` for the one the provider takes by itself.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What names there are.

    Attributes:
        defaults: Every provider, with its default model; ``""`` where it has none.
        aliases: Other names for models.
        models: The models known of each provider.
        usable: The providers that could be asked, the most wanted first: those configured, local servers that run,
            those with a key.
    """

    defaults: Mapping[str, str]
    aliases: Mapping[str, str] = {}
    models: Mapping[str, Collection[str]] = {}
    usable: Collection[str] = ()

    def resolve(self, name: str) -> Target:
        """Find what a name means. The first that fits:

        1. an alias; what it stands for is looked up by the same rules;
        2. ``provider/model``: all behind the first slash is the model, also with slashes of its own; capitals do not
           matter in the provider's name;
        3. ``provider``, or ``provider/``: its default model;
        4. the name of a model that is known: of the first usable provider that has it; of the only one that has it.

        Raises:
            UnknownProviderError: Before the first slash stands no provider, and no model is called so.
            UnknownModelError: No model is known by that name.
            ConfigurationError: Several providers have it and none of them is usable, or it is a URL, or the aliases
                lead in a circle.
        """
        seen = set()
        while name in self.aliases:
            if name in seen:
                raise ConfigurationError("the aliases lead in a circle", "let one of them name provider/model")
            seen.add(name)
            name = self.aliases[name]
        provider, slash, model = name.partition("/")
        called = provider if provider in self.defaults else provider.lower()
        if called in self.defaults:
            return Target(called, model or self.defaults[called])
        if "://" in name:
            raise ConfigurationError("a URL is no name of a model", "pass the server's address as url=")
        return self._bare(name) or self._unknown(name, provider if slash else None)

    def _bare(self, name: str) -> Target | None:
        having = {provider: called for provider, known in self.models.items() if (called := _find(name, known))}
        chosen = next((provider for provider in self.usable if provider in having), None)
        if chosen is None and len(having) > 1:
            some = ", ".join(f"{provider}/{model}" for provider, model in [*having.items()][:_MOST_NAMED])
            raise ConfigurationError(f"several providers have the model {name[:80]!r}", f"write one of: {some}")
        chosen = chosen or next(iter(having), None)
        return None if chosen is None else Target(chosen, having[chosen])

    def _unknown(self, name: str, provider: str | None) -> Target:
        models = [model for known in self.models.values() for model in known]
        if provider is not None and not any(model.startswith(f"{provider}/") for model in models):
            raise UnknownProviderError(provider, self.defaults)
        # names of providers and models are all short words: what is only somewhat alike would be a silly guess
        alike = difflib.get_close_matches(name, [*self.aliases, *models], n=6, cutoff=0.6)
        alike += difflib.get_close_matches(name, self.defaults, n=3, cutoff=0.85)
        error = UnknownModelError(name, dict.fromkeys(alike))
        maker = _MAKERS.get(_family(name), "")
        if maker in self.defaults and not any(_family(each) == _family(name) for each in alike):
            error.nearest = [f"{maker}/{name[:80]}"]
            error.remedy = f"did you mean {maker}/{name[:80]}?"
        raise error


def _family(name: str) -> str:
    """Return the word a model's name begins with: ``claude`` of ``claude-sonnet-4-5``."""
    found = _WORD.match(name.rpartition("/")[2].lower())
    return found[0] if found is not None else ""


def _find(name: str, known: Collection[str]) -> str | None:
    """Find a model; Ollama leaves out the tag ``latest``, as its own programs do."""
    return next((each for each in (name, f"{name}:latest") if each in known), None)
